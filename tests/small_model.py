"""A model folder with random weights, so small that a question takes milliseconds."""

from pathlib import Path

import numpy as np
import torch

from ros2_llava_phi.assistant.question import Kind, Question, request_text
from ros2_llava_phi.engine.engine import Floats
from ros2_llava_phi.model.config import ModelConfig, TextConfig, VisionConfig
from ros2_llava_phi.model.network import LlavaPhi
from ros2_llava_phi.model.prompt import after_picture
from ros2_llava_phi.model.tokenizer import TOKENIZER_FILE
from ros2_llava_phi.model.weights import save_network
from tiny.tokenizer import train_tokenizer

VOCAB = 400
CONFIG = ModelConfig(
    vision=VisionConfig(
        image_size=32, patch_size=8, hidden_size=32, intermediate_size=64, layers=3, heads=2
    ),
    text=TextConfig(
        vocab_size=VOCAB,
        hidden_size=48,
        intermediate_size=96,
        layers=3,
        heads=3,
        rotary_dim=8,
        context_length=128,
        eos_token_id=0,
    ),
    abstain_text='cannot tell',
)


def small_network(seed: int = 0, config: ModelConfig = CONFIG) -> LlavaPhi:
    """Return a network whose random weights are large enough that every input matters."""
    torch.manual_seed(seed)
    network = LlavaPhi(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


def make_model(folder: Path, seed: int = 0) -> Path:
    """Write a complete model folder and return it."""
    save_network(small_network(seed), folder, torch.float32)
    question = Question('Is there a red car on the left? How many?', Kind.YES_NO)
    texts = [after_picture(request_text(question)), ' Yes', ' No', ' cannot tell', ' 0 1 2 3 4']
    tokenizer = train_tokenizer(texts * 20, VOCAB)
    tokenizer.save(str(folder / TOKENIZER_FILE))
    return folder


def random_model(folder: Path, config: ModelConfig) -> Path:
    """Write a checkpoint of random weights, with attention that prefers some tokens to others."""
    make_model(folder)
    torch.manual_seed(1)
    network = LlavaPhi(config)
    for name, parameter in network.named_parameters():
        fan_in = parameter.shape[-1] if parameter.ndim > 1 else 25
        torch.nn.init.normal_(parameter, std=fan_in**-0.5)
        if 'norm' in name and name.endswith('weight'):
            torch.nn.init.normal_(parameter, 1.0, 0.2)
    tokenizer = (folder / TOKENIZER_FILE).read_bytes()
    save_network(network, folder, torch.float32)
    assert (folder / TOKENIZER_FILE).read_bytes() == tokenizer
    return folder


def pixels(config: ModelConfig, seed: int = 0) -> Floats:
    side = config.vision.image_size
    return np.random.default_rng(seed).standard_normal((3, side, side)).astype(np.float32)
