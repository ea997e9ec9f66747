"""
nuScenes (Caesar et al., CVPR 2020): its cameras, and the tables that say which pictures there are.

A sample is a moment of a scene, of which every camera has a picture, as
samples/CAM_FRONT/n015-2018-07-24.jpg; what was taken between the samples lies in sweeps/.
"""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from ros2_llava_phi.errors import DataError
from ros2_llava_phi.model.prompt import Mark, Piece

from .records import checked_path, objects_in

CAMERAS = (
    'CAM_FRONT',
    'CAM_FRONT_LEFT',
    'CAM_FRONT_RIGHT',
    'CAM_BACK',
    'CAM_BACK_LEFT',
    'CAM_BACK_RIGHT',
)
SAMPLES = 'samples'


def about_cameras(names: Iterable[str], question: str) -> tuple[Piece, ...]:
    """Return a request about pictures at one time, a line for each that begins with its name."""
    pieces: list[Piece] = []
    for name in names:
        pieces += [f'\n{name}: ' if pieces else f'{name}: ', Mark.PICTURE]
    return (*pieces, f'\n{question}')


def below_nuscenes(folder: Path, name: str) -> Path:
    """Return a picture's path below nuScenes' folder, whatever stands before samples/ in it."""
    parts = PurePosixPath(name).parts
    start = parts.index(SAMPLES) if SAMPLES in parts else 0
    return folder.joinpath(*parts[start:])


def find_tables(folder: Path, name: str) -> list[Path]:
    """Return nuScenes' tables of that name, one of each version; raises DataError without any."""
    tables = sorted(folder.glob(f'v1.0-*/{name}'))
    if not tables:
        raise DataError(
            f"{folder} has no v1.0-*/{name}; pictures must be nuScenes' folder, with its tables"
        )
    return tables


def scenes_of_samples(table: Path) -> dict[str, str]:
    """Return the scene of each sample in a sample.json; raises DataError if it is damaged."""
    return dict(
        _texts(table, number, record, 'token', 'scene_token')
        for number, record in objects_in(table)
    )


def pictures_of_samples(table: Path, cameras: Iterable[str]) -> dict[str, dict[str, str]]:
    """
    Return the file of each camera, by sample, as a sample_data.json names it.

    The table is never held as a whole: it has 2.6 million entries in 1.2 GB, of which one in
    thirteen is a picture of a sample. Raises DataError if it is damaged, or a name leads out of
    nuScenes' folder.
    """
    wanted, found = frozenset(cameras), dict[str, dict[str, str]]()
    for number, record in objects_in(table):
        name, sample = _texts(table, number, record, 'filename', 'sample_token')
        kind, _, rest = name.partition('/')
        camera = rest.partition('/')[0]
        if kind == SAMPLES and camera in wanted:
            try:
                found.setdefault(sample, {})[camera] = checked_path(name)
            except ValueError as error:
                raise DataError(f"{table}, record {number}, field 'filename': {error}") from None
    return found


def _texts(
    table: Path, number: int, record: dict[str, Any], first: str, second: str
) -> tuple[str, str]:
    values = record.get(first), record.get(second)
    if not (isinstance(values[0], str) and isinstance(values[1], str)):
        raise DataError(f'{table}, record {number}: {first!r} and {second!r} must be texts')
    return values[0], values[1]
