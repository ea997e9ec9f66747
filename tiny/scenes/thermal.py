"""Road scenes as a thermal camera sees them: a domain that the packaged model never saw."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .questions import Example, questions
from .render import sample_view
from .sensor import noise
from .world import FIRST_SURFACE, PAINTS, SURFACES, Image, Rendering, Scene

# Brightness 0..255 of what is warmer than the ground; white is hot.
HEAT = {
    'pedestrian': 225.0,
    'car': 165.0,
    'truck': 185.0,
    'traffic light': 150.0,
    'traffic cone': 78.0,
    'box': 70.0,
}
COLD, ROAD, GROUND = 25.0, 95.0, 80.0
# What heat shows; colours, lamps, weather and time of day it does not.
TOPICS = {
    *('count', 'presence', 'where', 'side', 'left of', 'right of', 'distance', 'is far'),
    *('is near', 'lane blocked', 'lane free', 'what ahead'),
}


def thermal_view(rng: np.random.Generator) -> tuple[Scene, Image]:
    """Return a road scene, and the picture of its heat: uint8 [H, W, 3], all channels equal."""
    scene, rendering = sample_view(rng, 'road')
    return scene, _heat(scene, rendering, rng)


def thermal_questions(
    scene: Scene, rng: np.random.Generator, split: str, count: int
) -> list[Example]:
    """Return at most `count` questions that heat answers, worded as in 'train' or 'heldout'."""
    asked = questions(scene, rng, split, 3 * count)
    return [each for each in asked if each.topic in TOPICS and not _names_colour(each)][:count]


def _heat(scene: Scene, rendering: Rendering, rng: np.random.Generator) -> Image:
    labels = rendering.labels
    level = np.full(labels.shape, GROUND, np.float32)
    level[: max(0, int(scene.camera.horizon()))] = COLD
    level[labels == FIRST_SURFACE + SURFACES.index('road')] = ROAD
    for index, thing in enumerate(scene.objects):
        mine = labels == index + 1
        warmth = HEAT.get(thing.kind, 60.0) + float(rng.uniform(-12, 12))
        # Of every thing the lower parts, engines, tyres and legs, are the warmest.
        rows = np.flatnonzero(mine.any(axis=1))
        if len(rows):
            slope = np.linspace(0.8, 1.15, len(labels[rows[0] : rows[-1] + 1]))
            level[rows[0] : rows[-1] + 1] = np.where(
                mine[rows[0] : rows[-1] + 1],
                warmth * slope[:, None],
                level[rows[0] : rows[-1] + 1],
            )
    # Dark paint takes up more of the sun's heat: what is left of the picture's own drawing.
    grey = cv2.cvtColor(rendering.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    level -= 0.2 * (grey - _blurred(grey, 12))
    level = _blurred(level, float(rng.uniform(0.6, 1.2)))
    level = level * float(rng.uniform(0.85, 1.1)) + float(rng.uniform(-12, 12))
    level += noise(rng, labels.shape) * float(rng.uniform(2, 6))
    return np.repeat(np.clip(level, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _blurred(level: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(level, (0, 0), sigma), np.float32)


def _names_colour(example: Example) -> bool:
    words = ' '.join((example.question, example.answer, *example.choices)).lower().split()
    return any(word.strip('.,?') in PAINTS for word in words)
