"""The small network: its sizes, its weights at the start, and a head for what patches show."""

import torch
from torch import Tensor, nn

from ros2_llava_phi.assistant.answer import CANNOT_TELL
from ros2_llava_phi.model.config import ModelConfig, TextConfig, VisionConfig
from ros2_llava_phi.model.network import DecoderLayer, LlavaPhi, VisionLayer, VisionTower

TOKENS = 768
POSITION_STRENGTH = 0.7
LONGEST_WAVE, SHORTEST_WAVE = 6.0, 0.33  # sides of the picture

CONFIG = ModelConfig(
    vision=VisionConfig(
        image_size=144, patch_size=12, hidden_size=192, intermediate_size=768, layers=5, heads=3
    ),
    text=TextConfig(
        vocab_size=TOKENS + 8,  # as Phi-2 has spare rows, for <image> and padding
        hidden_size=192,
        intermediate_size=768,
        layers=5,
        heads=3,
        rotary_dim=32,
        context_length=512,
        eos_token_id=0,
    ),
    abstain_text=CANNOT_TELL,
)


class Pupil(nn.Module):
    """The network's parts, and a linear head that reads off the tower what a patch shows."""

    def __init__(self, network: LlavaPhi, attributes: int) -> None:
        """Take the parts of a network, and put a head on its tower."""
        super().__init__()
        self.vision_tower = network.vision_tower
        self.projector = network.projector
        self.decoder = network.decoder
        self.head = nn.Linear(network.config.vision.hidden_size, attributes)


def initialise(network: nn.Module) -> None:
    """
    Draw a small network's weights.

    Keys start out equal to queries, so that tokens attend to what resembles them, and patches to
    those nearby.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.7 * module.in_features**-0.5)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.1)
    for module in network.modules():
        if isinstance(module, DecoderLayer | VisionLayer):
            module.k_proj.load_state_dict(module.q_proj.state_dict())
        elif isinstance(module, VisionTower):
            waves = position_waves(module.config.grid, module.config.hidden_size)
            module.position_embedding.weight.data[1:] = POSITION_STRENGTH * waves


def position_waves(grid: int, width: int) -> Tensor:
    """
    Return position embeddings [grid * grid, width] that are the more alike the nearer two patches.

    Sines and cosines of rows and columns; a tower that starts with them, and with keys equal to
    queries, looks at each patch's neighbourhood from the start (arXiv 2305.09828).

    Raises ValueError if the width is no multiple of 4.
    """
    if width % 4:
        raise ValueError(f'a width of {width} is no multiple of 4')
    spread = torch.linspace(0, 1, width // 4)
    waves = 2 * torch.pi / (LONGEST_WAVE * (SHORTEST_WAVE / LONGEST_WAVE) ** spread)
    angles = torch.arange(grid)[:, None] / grid * waves
    across, down = angles.repeat(grid, 1), angles.repeat_interleave(grid, dim=0)
    return torch.cat([across.sin(), across.cos(), down.sin(), down.cos()], dim=1)
