"""Ground truth is read as it was written, and refused where it cannot be."""

from pathlib import Path

import pytest

from ros2_llava_phi.bags.ground_truth import Answers, read_ground_truth, write_ground_truth
from ros2_llava_phi.errors import DataError


def test_answers_are_by_camera_stamp_and_question(tmp_path: Path) -> None:
    path = tmp_path / 'truth.json'
    frames: dict[tuple[str, int], Answers] = {
        ('front', 5): {'a?': 'Yes', 'b?': None},
        ('rear', 5): {'b?': '3', 'a?': 'No'},
    }
    write_ground_truth(path, frames)
    truth = read_ground_truth(path)
    assert truth.answer('front', 5, 'a?') == 'Yes'
    assert truth.answer('rear', 5, 'a?') == 'No'
    assert truth.answer('rear', 5, 'b?') == '3'
    for unknown in (('front', 5, 'b?'), ('front', 5, 'c?'), ('front', 6, 'a?'), ('left', 5, 'a?')):
        assert truth.answer(*unknown) == ''


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        ('', 'no JSON'),
        ('[]', 'it must be names with their values'),
        ('[' * 100_000, 'no JSON: recursion limit'),
        (
            '{"questions": ["a?"], "frames": [{"camera": "front"}]}',
            r'frames\.0\.stamp_ns: it is',
        ),
        (
            '{"questions": ["a?"], "frames": [{"camera": "front", "stamp_ns": 5, "answers": []}]}',
            'has 0 answers to 1 question$',
        ),
        ('{"questions": [], "frame": []}', "no field 'frame'; did you mean frames"),
    ],
    ids=lambda text: text[:20],
)
def test_a_bad_file_is_refused(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / 'truth.json').write_text(content)
    with pytest.raises(DataError, match=f'is no ground-truth file: .*{sentence}') as caught:
        read_ground_truth(tmp_path / 'truth.json')
    assert '\n' not in str(caught.value) and 'http' not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='there is no ground-truth file'):
        read_ground_truth(tmp_path / 'truth.json')
    with pytest.raises(DataError, match=r'cannot be read: .*null'):
        read_ground_truth(tmp_path / 'truth\0.json')
