"""
How pictures are prepared, as the image processors of other projects write it, and back.

transformers' CLIPImageProcessor, LlavaImageProcessor and SiglipImageProcessor save it in
preprocessor_config.json or, in version 5, within processor_config.json.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.files.settings import Settings, read_settings

from .config import Fit, ModelConfig, VisionConfig, errors_that_name

PICTURE_FILE = 'preprocessor_config.json'
PROCESSOR_FILE = 'processor_config.json'


class _Pictures(BaseModel):
    """The settings of an image processor; what it leaves out, CLIP's and SigLIP's do alike."""

    do_resize: Literal[True] = True
    do_center_crop: bool | None = None
    do_rescale: Literal[True] = True
    do_normalize: Literal[True] = True
    do_pad: bool | None = None
    resample: Literal[3] = 3
    size: int | dict[str, int | None] | None = None
    crop_size: int | dict[str, int | None] | None = None

    def sides(self) -> set[int]:
        """Return all sides of pictures that the settings name, in pixels."""
        sizes = [size for size in (self.size, self.crop_size) if size is not None]
        named = [size.values() if isinstance(size, dict) else (size,) for size in sizes]
        return {side for sides in named for side in sides if side is not None}

    def fit(self, kind: str) -> Fit:
        """Return how pictures become square; by the kind of encoder where nothing says it."""
        if self.do_pad:
            return 'pad'
        edges = self.size if isinstance(self.size, dict) else {}
        stretches = edges.get('height') and edges.get('width')
        if stretches or (self.size is None and kind == 'siglip'):
            return 'stretch'
        if edges and not edges.get('shortest_edge'):
            raise ValueError('size is neither that of the shortest edge nor of height and width')
        if self.do_center_crop is False:
            raise ValueError('do_center_crop is false, and nothing else makes pictures square')
        return 'crop'


def read_picture_settings(folder: Path) -> tuple[Path, Settings]:
    """
    Return a folder's file that says how pictures are prepared, and what it says; {} if none does.

    transformers 5 saves that within the processor's settings. Raises ModelError naming the file.
    """
    for name in (PROCESSOR_FILE, PICTURE_FILE):
        if (folder / name).is_file():
            settings = read_settings(folder / name, ModelError)
            pictures = settings if name == PICTURE_FILE else settings.get('image_processor')
            if isinstance(pictures, dict):
                return folder / name, pictures
    return folder / PICTURE_FILE, {}


def with_colours(vision: VisionConfig, pictures: Settings, where: str) -> VisionConfig:
    """
    Return an encoder's settings with the mean and deviation by which its pictures are normalised.

    pictures: as in preprocessor_config.json; what it leaves out stays. where: the file, for
    errors. Raises ModelError if they are no colours.
    """
    names = {'image_mean': 'mean', 'image_std': 'std'}
    said = {ours: pictures[key] for key, ours in names.items() if pictures.get(key) is not None}
    with errors_that_name(where):
        return VisionConfig.model_validate({**vision.model_dump(), **said})


def fit_of_pictures(pictures: Settings, vision: VisionConfig, where: str) -> Fit:
    """
    Return how an image processor makes pictures square.

    pictures: as in preprocessor_config.json; {} if nothing says how pictures are prepared, which
    is then as the encoder's own processor does. where: the file, for errors.

    Raises ModelError if pictures are prepared in a way that is not LLaVA's, CLIP's or SigLIP's.
    """
    side = vision.image_size
    with errors_that_name(where):
        prepared = _Pictures.model_validate(pictures)
        if others := prepared.sides() - {side}:
            raise ValueError(f'a size is {min(others)}, but the tower takes {side} pixels')
        return prepared.fit(vision.kind)


def picture_settings(config: ModelConfig) -> Settings:
    """Return preprocessor_config.json for a model."""
    side = config.vision.image_size
    square = {'height': side, 'width': side}
    by_fit: dict[Fit, Settings] = {
        'pad': {'image_processor_type': 'LlavaImageProcessor', 'do_pad': True},
        'crop': {'image_processor_type': 'CLIPImageProcessor', 'do_pad': False},
        'stretch': {'image_processor_type': 'SiglipImageProcessor', 'size': square},
    }
    cuts = {'size': {'shortest_edge': side}, 'do_center_crop': True, 'crop_size': square}
    return {
        **({} if config.fit == 'stretch' else cuts),
        **by_fit[config.fit],
        'do_convert_rgb': True,
        'do_resize': True,
        'resample': 3,
        'do_rescale': True,
        'rescale_factor': 1 / 255,
        'do_normalize': True,
        'image_mean': config.vision.mean,
        'image_std': config.vision.std,
    }
