"""llava-phi ask: the answer on stdout, and one line with exit code 2 for what cannot be asked."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_model import make_model

RUN = [sys.executable, '-c', 'from ros2_llava_phi.cli.main import main; main()', 'ask']


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('ask')
    make_model(folder / 'small')
    blocks = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(blocks.repeat(10, axis=0).repeat(10, axis=1)).save(folder / 'scene.png')
    Image.new('RGB', (64, 48)).save(folder / 'black.png')
    (folder / 'text.png').write_text('no picture')
    return folder


def ask(files: Path, *arguments: str, image: str = 'scene.png', model: str = 'small') -> list[str]:
    """Run the verb; return exit code, stdout and stderr."""
    done = subprocess.run(
        [*RUN, '--model', model, '--image', image, *arguments],
        cwd=files,
        capture_output=True,
        text=True,
        check=False,
    )
    return [str(done.returncode), done.stdout.strip(), done.stderr.strip()]


def test_yes_no_with_its_probabilities(files: Path) -> None:
    code, out, _ = ask(files, '--yes-no', '-v', 'Is there a car?')
    assert code == '0'
    first, *rest = out.splitlines()
    assert first in ('Yes', 'No', 'cannot tell')
    assert any(line.startswith('encode') and line.endswith('ms') for line in rest)
    assert any(line.split()[-1] == 'Yes' for line in rest)


def test_choices(files: Path) -> None:
    assert ask(files, '--choices', 'red, green', 'Which?')[1] in ('red', 'green', 'cannot tell')


def test_a_black_picture_is_abstained_on(files: Path) -> None:
    code, out, err = ask(files, 'What is there?', image='black.png')
    assert (code, out) == ('0', 'cannot tell')
    assert 'black' in err


@pytest.mark.parametrize(
    ('arguments', 'image', 'model', 'message'),
    [
        (['  '], 'scene.png', 'small', 'empty'),
        (['--yes-no', '--number', 'a?'], 'scene.png', 'small', 'only one of'),
        (['--choices', 'red', 'a?'], 'scene.png', 'small', 'needs 2 to 26'),
        (['a?'], 'text.png', 'small', 'text.png cannot be read'),
        (
            ['a?'],
            'none.png',
            'small',
            'none.png cannot be read: there is no such file',
        ),
        (['--seconds', 'nan', 'a?'], 'scene.png', 'small', "'--seconds'"),
        (['--temperature', 'inf', 'a?'], 'scene.png', 'small', 'inf; it must be a finite number'),
        (['a?'], 'scene.png', 'nowhere', "no model folder 'nowhere'"),
    ],
)
def test_one_line_and_exit_code_2(
    files: Path, arguments: list[str], image: str, model: str, message: str
) -> None:
    code, out, err = ask(files, *arguments, image=image, model=model)
    assert (code, out) == ('2', '')
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_limits_and_sampling(files: Path) -> None:
    code, _, err = ask(files, '--max-tokens', '2', 'What is there?')
    assert (code, err) == ('0', 'cut short: token limit')
    code, _, err = ask(files, '--seconds', '0', '--yes-no', 'Is there a car?')
    assert (code, err) == ('2', 'llava-phi: there is no answer after 0 s; give more time')
    options = ('--temperature', '3', '--max-tokens', '9', 'What?')
    first, again, other = (ask(files, '--seed', seed, *options)[1] for seed in ('1', '1', '2'))
    assert first == again != other
    code, _, err = ask(files, '--temperature', '-1', 'What?')
    assert code == '2'
    assert 'temperature is -1.0; it must be a finite number above 0' in err


def test_a_question_in_no_encoding_is_refused(files: Path) -> None:
    code, _, err = ask(files, '--yes-no', 'a car \udcff?')
    assert code == '2'
    assert 'is no Unicode text; write it in UTF-8' in err


@pytest.mark.slow
@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
def test_other_precisions(files: Path, precision: str) -> None:
    code, out, _ = ask(files, '--precision', precision, '--yes-no', '-v', 'Is there a car?')
    assert code == '0'
    assert f'(torch, {precision})' in out


@pytest.mark.slow
def test_a_text_comes_as_it_is_written(files: Path) -> None:
    """The first piece is on stdout long before the last."""
    long = ('--temperature', '3', '--max-tokens', '60')
    command = [*RUN, '--model', 'small', '--image', 'scene.png', *long, 'What?']
    with subprocess.Popen(command, cwd=files, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        pieces = 0
        while process.stdout.read(4096):
            pieces += 1
    assert pieces > 2
