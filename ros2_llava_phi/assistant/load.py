"""From a model's folder or name to an assistant that is ready."""

import logging
from importlib.resources import files
from pathlib import Path

from ros2_llava_phi.engine.torch_engine import TorchEngine, check_device
from ros2_llava_phi.model.checkpoint import open_checkpoint
from ros2_llava_phi.model.config import ModelError
from ros2_llava_phi.model.tokenizer import load_tokenizer
from ros2_llava_phi.model.weights import weights_hash

from .answer import ModelIdentity
from .assistant import Assistant

ENGINES = ('torch',)


def find_model(model: str) -> Path:
    """Return the folder of a model: a path, or the name of a packaged one; raises ModelError."""
    packaged = Path(str(files('ros2_llava_phi'))) / 'data'
    for folder in (Path(model).expanduser(), packaged / model):
        if folder.is_dir():
            return folder.resolve()
    names = sorted(path.parent.name for path in packaged.glob('*/config.json'))
    raise ModelError(f'there is no model folder {model!r}; packaged models: {", ".join(names)}')


def model_name(folder: Path) -> str:
    """Return what to call the model in a folder; of a hub's snapshot, what its owner calls it."""
    if folder.parent.name == 'snapshots':
        return folder.parents[1].name.split('--')[-1]
    return folder.name


def load_assistant(
    model: str, engine: str = 'torch', device: str = 'cpu', precision: str = 'fp32'
) -> Assistant:
    """
    Load a model and make an assistant of it.

    model: a folder, or the name of a packaged model.
    engine, device, precision: what runs it, where, and in which number format.

    Raises ModelError in one sentence if any of them cannot be used.
    """
    if engine not in ENGINES:
        raise ModelError(f'there is no engine {engine!r}; engines: {", ".join(ENGINES)}')
    dtype = check_device(precision, device)
    folder = find_model(model)
    checkpoint = open_checkpoint(folder)
    tokenizer = load_tokenizer(checkpoint.tokenizer_folder, checkpoint.config.text.vocab_size)
    network = checkpoint.read(dtype)
    if checkpoint.drops_head_bias:
        logging.getLogger(__name__).warning('%s has no lm_head.bias; it is taken as 0', folder)
    torch_engine = TorchEngine(network, precision, device)
    identity = ModelIdentity(
        name=model_name(folder),
        weights_hash=weights_hash(checkpoint.files),
        engine=torch_engine.name,
        precision=precision,
        device=device,
        image_size=network.config.vision.image_size,
        image_tokens=network.config.vision.image_tokens,
        context_length=network.config.text.context_length,
    )
    return Assistant(torch_engine, tokenizer, identity)
