"""A model folder with random weights, so small that a question takes milliseconds."""

from pathlib import Path

import torch

from ros2_llava_phi.assistant.question import Kind, Question
from ros2_llava_phi.assistant.request import request_text
from ros2_llava_phi.model.config import ModelConfig, TextConfig, VisionConfig
from ros2_llava_phi.model.network import LlavaPhi
from ros2_llava_phi.model.prompt import after_picture
from ros2_llava_phi.model.tokenizer import TOKENIZER_FILE
from ros2_llava_phi.model.weights import save_network
from ros2_llava_phi.training.tokenizer import train_tokenizer

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


def small_network(seed: int = 0) -> LlavaPhi:
    """Return a network whose random weights are large enough that every input matters."""
    torch.manual_seed(seed)
    network = LlavaPhi(CONFIG)
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
