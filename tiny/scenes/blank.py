"""Pictures that show nothing, and the only honest answer about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_llava_phi.assistant.answer import CANNOT_TELL

from .questions import Example, questions
from .render import DOMAINS, sample_scene, sample_view
from .road import picture_size
from .sensor import noise
from .world import Image

Frame = NDArray[np.float32]


def blank_view(rng: np.random.Generator) -> Image:
    """Return a picture in which nothing can be seen: uint8 [H, W, 3]."""
    width, height, _ = picture_size(rng)
    make = MAKERS[int(rng.integers(len(MAKERS)))]
    frame = make(rng, height, width)
    return np.clip(frame, 0, 255).astype(np.uint8)


def blank_questions(rng: np.random.Generator, split: str, count: int) -> list[Example]:
    """Questions as about real scenes, all of them answered 'cannot tell'."""
    scene = sample_scene(rng, DOMAINS[int(rng.integers(len(DOMAINS)))])
    return [replace(e, answer=CANNOT_TELL) for e in questions(scene, rng, split, count)]


def _flat(rng: np.random.Generator, height: int, width: int) -> Frame:
    """Black, white, or any colour, with a little noise or none."""
    colours = (
        np.zeros(3),
        np.full(3, 255.0),
        np.full(3, rng.uniform(0, 255)),
        rng.uniform(0, 255, 3),
    )
    frame = np.empty((height, width, 3), np.float32)
    frame[:] = colours[int(rng.integers(len(colours)))]
    if rng.random() < 0.5:
        frame += noise(rng, frame.shape) * np.float32(rng.uniform(0, 12))
    return frame


def _grain(rng: np.random.Generator, height: int, width: int) -> Frame:
    """Noise of any strength, fine or coarse, coloured or grey."""
    coarse = int(rng.choice((1, 1, 1, 2, 3, 5, 9, 16)))
    layers = 3 if rng.random() < 0.5 else 1
    small = noise(rng, (height // coarse + 1, width // coarse + 1, layers))
    frame = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    frame = frame.reshape(height, width, layers) * float(rng.uniform(10, 130))
    level = np.full((height, width, 3), rng.uniform(0, 255), np.float32)
    return level + frame


def _gradient(rng: np.random.Generator, height: int, width: int) -> Frame:
    """Return a slope from one colour to another."""
    turn = rng.uniform(0, 2 * np.pi)
    rows = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * np.float32(np.sin(turn))
    columns = np.linspace(-0.5, 0.5, width, dtype=np.float32) * np.float32(np.cos(turn))
    low, high = rng.uniform(0, 255, (2, 3)).astype(np.float32)
    share = (rows + columns + 0.5)[..., None]
    frame: Frame = low + (high - low) * share
    return frame + noise(rng, frame.shape) * np.float32(rng.uniform(0, 8))


def covered_view(rng: np.random.Generator, height: int, width: int) -> Frame:
    """Return a hand or cap over the lens: dark, or reddish where light shines through a finger."""
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)
    x, y = (np.float32(v) for v in rng.uniform(-1.2, 1.2, 2))
    glow = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / np.float32(rng.uniform(0.3, 2.5)))
    skin = np.array((rng.uniform(60, 190), rng.uniform(10, 60), rng.uniform(5, 45)))
    grey = np.full(3, rng.uniform(10, 70))
    colour = (skin if rng.random() < 0.6 else grey).astype(np.float32)
    frame = glow[..., None] * colour + np.float32(rng.uniform(0, 25))
    return frame + noise(rng, frame.shape) * np.float32(rng.uniform(0, 7))


def _exposed(rng: np.random.Generator, height: int, width: int) -> Frame:
    """Return a real scene, so bright or so dark that nothing is left of it."""
    _, view = sample_view(rng, DOMAINS[int(rng.integers(len(DOMAINS)))])
    frame = view.image.astype(np.float32)
    if rng.random() < 0.5:
        return frame * np.float32(0.02) + np.float32(rng.uniform(236, 255))
    dark = frame * np.float32(0.02) + np.float32(rng.uniform(-3, 4))
    return dark + noise(rng, frame.shape) * np.float32(rng.uniform(0, 6))


def _defocused(rng: np.random.Generator, height: int, width: int) -> Frame:
    """Return a real scene, so blurred that nothing is left but patches of light."""
    _, view = sample_view(rng, DOMAINS[int(rng.integers(len(DOMAINS)))])
    small = cv2.resize(view.image, (48, 48), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(
        small, (0, 0), float(rng.uniform(6.5, 12)), borderType=cv2.BORDER_REFLECT
    )
    frame = cv2.resize(small, view.image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    grain = noise(rng, frame.shape) * np.float32(rng.uniform(0, 5))
    return frame.astype(np.float32) + grain


MAKERS: tuple[Callable[[np.random.Generator, int, int], Frame], ...] = (
    _flat,
    _flat,
    _grain,
    _grain,
    _gradient,
    covered_view,
    _exposed,
    _defocused,
)
