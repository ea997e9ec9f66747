"""Small data sets in the schemas of the real ones, for the tests of training/data."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from ros2_llava_phi.datasets.dialogue import Dialogue, Dropped
from ros2_llava_phi.model.prompt import Mark, Turn


def picture(path: Path, shade: int = 0) -> Path:
    """Write a picture that differs from those of other shades."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise((64, 48), 40).convert('RGB').point(lambda value: value ^ shade).save(path)
    return path


def said(*texts: str) -> list[dict[str, str]]:
    """Return texts as LLaVA's messages, human first."""
    speakers = ('human', 'gpt')
    return [{'from': speakers[i % 2], 'value': text} for i, text in enumerate(texts)]


def write_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def conversations(samples: Iterable[Any]) -> list[Dialogue]:
    """Return samples of which none may have been dropped."""
    found = list(samples)
    assert [each for each in found if not isinstance(each, Dialogue)] == []
    return found


def dropped(samples: Iterable[Any]) -> list[Dropped]:
    """Return samples all of which must have been dropped."""
    found = list(samples)
    assert [each for each in found if not isinstance(each, Dropped)] == []
    return found


def as_text(turn: Turn) -> str:
    """Return a request with its pictures as `<image>`."""
    return ''.join('<image>' if piece is Mark.PICTURE else str(piece) for piece in turn.request)
