"""Whatever becomes of standard output and error: the work is done, and its result is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from replay_stand_in import COLOURS, QUESTIONS, write_recording

WORKS = """
import os, sys
from contextlib import suppress
from ros2_llava_phi.files.streams import Output
output = Output()
for number in range(3000):
    print('line', number)
    print('heard', number, file=sys.stderr, flush=True)
sys.stdout.flush()
with open('result', 'w') as file:
    with suppress(OSError):
        os.write(2, b'of a library')  # which must not go into the file
    file.write(f'done {output.lost()}')
sys.exit(3)
"""
AFTER_THE_FIRST_LINE = '{ head -n 1 >/dev/null; }'


def shell(command: str, folder: Path) -> int:
    """Return the status of the first command of a pipe."""
    script = f'set -o pipefail; {command}'
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    return subprocess.run(['bash', '-c', script], cwd=folder, env=environment).returncode


@pytest.mark.parametrize(
    ('streams', 'lost'),
    [
        ('> out 2> err', ''),
        (f'2>/dev/null | {AFTER_THE_FIRST_LINE}', ''),
        (f'2>&1 >/dev/null | {AFTER_THE_FIRST_LINE}', ''),
        ('> /dev/full 2>/dev/null', 'No space left on device'),
        ('2> /dev/full >/dev/null', ''),
        ('>&- 2>/dev/null', ''),
        ('>/dev/null 2>&-', ''),
        ('<&- >&- 2>&-', ''),
    ],
)
def test_a_result_is_written_whatever_becomes_of_the_streams(
    tmp_path: Path, streams: str, lost: str
) -> None:
    (tmp_path / 'works.py').write_text(WORKS)
    assert shell(f'{sys.executable} works.py {streams}', tmp_path) == 3
    assert (tmp_path / 'result').read_text() == f'done {lost}'
    if streams == '> out 2> err':
        assert (tmp_path / 'out').read_text().splitlines()[-1] == 'line 2999'
        assert (tmp_path / 'err').read_text().endswith('heard 2999\nof a library')


LLAVA_PHI = f'{sys.executable} -m ros2_llava_phi.cli.main'


@pytest.mark.slow
@pytest.mark.parametrize('streams', ['> /dev/full', '>&- 2>&-', f'|& {AFTER_THE_FIRST_LINE}'])
def test_a_command_ends_as_usual_whoever_listens(tmp_path: Path, streams: str) -> None:
    write_recording(tmp_path / 'bag', COLOURS)
    (tmp_path / 'q.yaml').write_text(QUESTIONS)
    replay = f'{LLAVA_PHI} replay bag --questions q.yaml -o out'
    assert shell(f'{replay} {streams}', tmp_path) == 0
    assert {each.name for each in (tmp_path / 'out').iterdir()} == {
        *('run.json', 'results.jsonl', 'summary.json', 'report.html')
    }
    assert shell(f'{LLAVA_PHI} extract bag -o data {streams}', tmp_path) == 0
    assert (tmp_path / 'data' / 'questions.csv').is_file()


@pytest.mark.slow
def test_what_prints_its_result_says_that_it_is_lost(tmp_path: Path) -> None:
    inspect = f'{LLAVA_PHI} inspect llava-phi-tiny'
    assert shell(f'{inspect} > /dev/full 2> err', tmp_path) == 2
    assert (tmp_path / 'err').read_text() == (
        'llava-phi: standard output: No space left on device\n'
    )
    assert shell(f'{inspect} 2> err | {AFTER_THE_FIRST_LINE}', tmp_path) == 0
    assert (tmp_path / 'err').read_text() == ''
