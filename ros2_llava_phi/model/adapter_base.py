"""Where the model is that a LoRA adapter adds to; found without PyTorch."""

from pathlib import Path

from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.files.settings import read_settings

ADAPTER_CONFIG = 'adapter_config.json'


def adapter_base(folder: Path) -> Path | None:
    """
    Return the folder of the base that an adapter's folder names; None if none is there.

    Raises ModelError if adapter_config.json is there and cannot be read. Source: PEFT's format.
    """
    path = folder / ADAPTER_CONFIG
    named = (
        read_settings(path, ModelError).get('base_model_name_or_path') if path.is_file() else None
    )
    return Path(named) if isinstance(named, str) and named and Path(named).is_dir() else None
