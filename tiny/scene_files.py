"""
Generated scenes as a data set in LLaVA's format: pictures, and true answers about them.

    python -m tiny.scene_files OUT --scenes 500 --kind thermal

The forty thermal pictures of the first training come along with the package, made by

    python -m tiny.scene_files ros2_llava_phi/data/thermal --scenes 40 --suffix jpg
"""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

from ros2_llava_phi.assistant.question import request_text

from .scene_shards import question_of
from .scenes import DOMAINS, questions, sample_view
from .scenes.thermal import thermal_questions, thermal_view

FILE = 'llava.json'
JPEG_QUALITY = 85


class Sort(str, Enum):
    """What is drawn: the scenes of the packaged model, or what it never saw."""

    KNOWN = 'known'
    THERMAL = 'thermal'


def write_scenes(
    folder: Path,
    scenes: int,
    kind: Sort,
    seed: int,
    split: str,
    per_scene: int = 12,
    suffix: str = 'png',
) -> Path:
    """
    Write pictures and a file in LLaVA's format; return the file.

    seed: scene i is drawn by (seed, i), whatever their number. split: the wordings of 'train' or
    of 'heldout'. per_scene: questions about each, at most. suffix: of the pictures' names, `jpg`
    for smaller ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # A forked child would hang on a lock that a thread of its parent held.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context('spawn')) as pool:
        write = partial(_write, folder, kind, seed, split, per_scene, suffix)
        records = [each for some in pool.map(write, range(scenes), chunksize=16) for each in some]
    path = folder / FILE
    path.write_text(json.dumps(records, indent=1))
    return path


def _write(
    folder: Path, kind: Sort, seed: int, split: str, per_scene: int, suffix: str, index: int
) -> list[dict[str, Any]]:
    rng = np.random.default_rng([seed, index])
    if kind == Sort.THERMAL:
        scene, picture = thermal_view(rng)
        asked = thermal_questions(scene, rng, split, per_scene)
    else:
        scene, rendering = sample_view(rng, DOMAINS[index % len(DOMAINS)])
        picture = rendering.image
        found = questions(scene, rng, split, per_scene + 1)
        asked = [each for each in found if each.topic != 'describe'][:per_scene]
    name = f'{index:06}.{suffix}'
    Image.fromarray(picture).save(folder / name, quality=JPEG_QUALITY)
    return [
        {
            'id': f'{index}-{number}',
            'image': name,
            'scene': f'{kind.value} {seed} {index}',
            'kind': each.kind,
            'conversations': [
                {'from': 'human', 'value': f'<image>\n{request_text(question_of(each))}'},
                {'from': 'gpt', 'value': each.answer},
            ],
        }
        for number, each in enumerate(asked)
    ]


def main(
    out: Annotated[Path, typer.Argument(metavar='OUT', help='Folder to write.')],
    scenes: Annotated[int, typer.Option(help='How many pictures.')] = 500,
    kind: Annotated[Sort, typer.Option(help='What is drawn.')] = Sort.THERMAL,
    seed: Annotated[int, typer.Option(help='Of the random numbers.')] = 0,
    split: Annotated[str, typer.Option(help='Wordings: train or heldout.')] = 'train',
    suffix: Annotated[str, typer.Option(help='Of the pictures: png or jpg.')] = 'png',
) -> None:
    """Write generated scenes as a data set in LLaVA's format."""
    typer.echo(write_scenes(out, scenes, kind, seed, split, suffix=suffix))


if __name__ == '__main__':
    typer.run(main)
