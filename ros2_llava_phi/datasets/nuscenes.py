"""nuScenes (Caesar et al., CVPR 2020): its cameras, and the tables that name their pictures."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from ros2_llava_phi.errors import DataError
from ros2_llava_phi.model.prompt import Mark, Piece

from .records import list_records, read_json

CAMERAS = (
    'CAM_FRONT',
    'CAM_FRONT_LEFT',
    'CAM_FRONT_RIGHT',
    'CAM_BACK',
    'CAM_BACK_LEFT',
    'CAM_BACK_RIGHT',
)


def about_cameras(names: Iterable[str], question: str) -> tuple[Piece, ...]:
    """Return a request about pictures at one time, a line for each that begins with its name."""
    pieces: list[Piece] = []
    for name in names:
        pieces += [f'\n{name}: ' if pieces else f'{name}: ', Mark.PICTURE]
    return (*pieces, f'\n{question}')


def below_nuscenes(folder: Path, name: str) -> Path:
    """Return a picture's path below nuScenes' folder, whatever stands before samples/ in it."""
    parts = PurePosixPath(name).parts
    start = parts.index('samples') if 'samples' in parts else 0
    return folder.joinpath(*parts[start:])


def scenes_of_samples(folder: Path) -> dict[str, str]:
    """Return the scene of each sample."""
    scenes: dict[str, str] = {}
    for path in _tables(folder, 'sample.json'):
        for place, sample in list_records(read_json(path), path):
            try:
                scenes[str(sample['token'])] = str(sample['scene_token'])
            except (KeyError, TypeError) as error:
                raise DataError(f'{path}, {place}: it must have token, scene_token') from error
    return scenes


def camera_files(folder: Path) -> dict[str, dict[str, str]]:
    """Return the file of each camera, by sample."""
    files: dict[str, dict[str, str]] = {}

    def keep(entry: dict[str, Any]) -> None:
        # While reading: all of this table, of 2.6 million entries, would not fit into memory.
        name = str(entry.get('filename'))
        if entry.get('is_key_frame') and '/CAM_' in name:
            camera = name.split('/')[-2]
            files.setdefault(str(entry.get('sample_token')), {})[camera] = name

    for path in _tables(folder, 'sample_data.json'):
        read_json(path, object_hook=keep)
    return files


def _tables(folder: Path, name: str) -> list[Path]:
    tables = sorted(folder.glob(f'v1.0-*/{name}'))
    if not tables:
        raise DataError(
            f"{folder} has no v1.0-*/{name}; pictures must be nuScenes' folder, with its tables"
        )
    return tables
