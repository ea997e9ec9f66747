"""From a model's folder or name to an assistant that is ready."""

from importlib.resources import files
from pathlib import Path

from ros2_llava_phi.engine.torch_engine import TorchEngine
from ros2_llava_phi.model.checkpoint import load_network, weights_hash
from ros2_llava_phi.model.config import ModelError
from ros2_llava_phi.model.prompt import load_tokenizer

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
    folder = find_model(model)
    network = load_network(folder)
    tokenizer = load_tokenizer(folder, network.config.text.vocab_size)
    torch_engine = TorchEngine(network, precision, device)
    identity = ModelIdentity(
        name=folder.name,
        weights_hash=weights_hash(folder),
        engine=torch_engine.name,
        precision=precision,
        device=device,
        image_size=network.config.vision.image_size,
        image_tokens=network.config.vision.image_tokens,
        context_length=network.config.text.context_length,
    )
    return Assistant(torch_engine, tokenizer, identity)
