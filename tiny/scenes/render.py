"""From random numbers to a scene, its picture, and the certainty that the picture shows it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from .canvas import Canvas
from .draw_road import draw_road_scene
from .draw_table import draw_table_scene
from .placing import REFERENCE
from .road import sample_road
from .sensor import expose
from .table import sample_table
from .world import FIRST_SURFACE, SURFACES, Rendering, Road, Scene, bounds

LEAST_AREA = 28.0  # pixels of a thing that must be seen in the padded square of side REFERENCE
LEAST_SHARE = 0.5  # of the pixels that it would have alone
DOMAINS = ('road', 'table')


def sample_scene(rng: np.random.Generator, domain: str) -> Scene:
    """Return a scene of the domain 'road' or 'table', its things placed so that they are seen."""
    if domain not in DOMAINS:
        raise ValueError(f'unknown domain {domain!r}: it must be one of {", ".join(DOMAINS)}')
    return sample_road(rng) if domain == 'road' else sample_table(rng)


def draw(scene: Scene) -> Canvas:
    """Return the scene's clean picture and label map."""
    canvas = Canvas(scene.camera, scene.air)
    backdrop = np.random.default_rng(scene.seed)
    if isinstance(scene.ground, Road):
        draw_road_scene(canvas, scene, scene.ground, backdrop)
    else:
        draw_table_scene(canvas, scene, scene.ground, backdrop)
    return canvas


def render(scene: Scene, rng: np.random.Generator) -> Rendering:
    """Draw the scene and pass it through a camera whose flaws `rng` decides."""
    canvas = draw(scene)
    return Rendering(expose(canvas.image, scene.air, rng), canvas.labels)


def sample_view(rng: np.random.Generator, domain: str) -> tuple[Scene, Rendering]:
    """Return a scene and its picture; what the picture does not show well is not in the scene."""
    scene = sample_scene(rng, domain)
    while True:
        canvas = draw(scene)
        clear = only_visible(scene, canvas)
        if clear == scene:
            return scene, Rendering(expose(canvas.image, scene.air, rng), canvas.labels)
        scene = clear


def only_visible(scene: Scene, canvas: Canvas) -> Scene:
    """Return the scene without what its drawing hides; the same scene when nothing is hidden."""
    areas = cv2.calcHist([canvas.labels], [0], None, [256], [0, 256]).ravel()
    scale = (REFERENCE / scene.camera.side) ** 2
    seen = tuple(
        thing
        for index, thing in enumerate(scene.objects)
        if areas[index + 1] * scale >= LEAST_AREA and areas[index + 1] >= _expected(scene, index)
    )
    ground = scene.ground
    if isinstance(ground, Road) and ground.crossing is not None:
        crossing = areas[FIRST_SURFACE + SURFACES.index('crossing')]
        if crossing * scale < 4 * LEAST_AREA:
            ground = replace(ground, crossing=None)
    if len(seen) == len(scene.objects) and ground is scene.ground:
        return scene
    return replace(scene, objects=seen, ground=ground)


def _expected(scene: Scene, index: int) -> float:
    """Least number of pixels that a thing must show: a share of what its box would fill."""
    left, top, right, bottom = bounds(scene.camera, scene.objects[index])
    thing = scene.objects[index]
    fill = FILL.get(thing.kind, 0.7)
    return LEAST_SHARE * fill * (right - left) * (bottom - top)


FILL = {
    'pedestrian': 0.5,
    'traffic cone': 0.5,
    'yield sign': 0.5,
    'cone': 0.5,
    'gripper': 0.35,
    'car': 0.6,
    'ball': 0.6,
}
