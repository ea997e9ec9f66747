"""Scenes as a data set; the forty that come along with the package are those that it writes."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from ros2_llava_phi.datasets.data_set import DataSet, read_data_set
from ros2_llava_phi.imaging.pictures import read_picture
from tiny.scene_files import Sort, write_scenes

PACKAGED = Path(str(files('ros2_llava_phi'))) / 'data' / 'thermal'
MOST_BYTES = 1_000_000


@pytest.mark.parametrize('kind', Sort)
def test_scenes_are_read_as_they_were_written(tmp_path: Path, kind: Sort) -> None:
    path = write_scenes(tmp_path, 3, kind, 5, 'train', per_scene=4)
    records = read_data_set(DataSet(name='scenes', path=path))
    assert not records.dropped
    assert len(records.conversations) == 3 * 4
    assert len({each.scene for each in records.conversations}) == 3


def test_the_packaged_pictures_are_those_that_are_written(tmp_path: Path) -> None:
    path = write_scenes(tmp_path, 3, Sort.THERMAL, 0, 'train', suffix='jpg')
    written, packaged = (
        json.loads((each.parent / path.name).read_text()) for each in (path, PACKAGED / path.name)
    )
    assert packaged[: len(written)] == written
    for picture in sorted(tmp_path.glob('*.jpg')):
        mine, theirs = (
            read_picture(each).astype(int) for each in (picture, PACKAGED / picture.name)
        )
        # Not every libjpeg rounds alike.
        assert np.abs(mine - theirs).mean() < 2


def test_the_packaged_pictures_can_be_trained_on() -> None:
    records = read_data_set(DataSet(name='thermal', path=PACKAGED / 'llava.json'))
    assert not records.dropped
    assert len({each.scene for each in records.conversations}) == 40
    assert {each.kind for each in records.conversations} >= {'yes_no', 'choice', 'number'}
    named = {path.name for each in records.conversations for path in each.pictures}
    assert named == {path.name for path in PACKAGED.glob('*.jpg')}
    assert sum(path.stat().st_size for path in PACKAGED.iterdir()) <= MOST_BYTES
