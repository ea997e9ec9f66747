"""llava-phi benchmark: from the official files to the scores, in parts, and after a kill."""

import json
import sys
from pathlib import Path

import pytest
from benchmark_data import MAKERS, dump
from PIL import Image

from ros2_llava_phi.assistant.load import load
from ros2_llava_phi.benchmark import benchmark_run as running
from ros2_llava_phi.benchmark.benchmark import Item
from ros2_llava_phi.benchmark.benchmark_run import Answered
from ros2_llava_phi.benchmark.benchmarks import BENCHMARKS
from ros2_llava_phi.cli import main as cli


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the verb in this process; return its exit code."""
    monkeypatch.setattr(sys, 'argv', ['llava-phi', 'benchmark', *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


@pytest.mark.parametrize('name', BENCHMARKS)
def test_from_the_files_to_the_scores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    if name == 'mmbench':
        pytest.importorskip('openpyxl')
    data, out = MAKERS[name](tmp_path / 'data'), tmp_path / 'out'
    assert run(monkeypatch, name, '--data', data, '-o', out) == 0
    scores = json.loads((out / 'scores.json').read_text())
    assert scores['benchmark'] == name
    assert scores['model'].startswith('llava-phi-tiny@')
    assert scores['metrics'] or 'the judge is outside' in scores['notes'][0]
    # Its own predictions, scored as somebody else's.
    (predictions,) = [path for path in out.iterdir() if path.stem == 'predictions']
    again = tmp_path / 'again'
    assert run(monkeypatch, name, '--data', data, '--predictions', predictions, '-o', again) == 0
    assert json.loads((again / 'scores.json').read_text())['metrics'] == scores['metrics']


def test_prompts_are_those_of_llava(tmp_path: Path) -> None:
    prompts = {
        name: [item.prompt for item in BENCHMARKS[name].read(MAKERS[name](tmp_path / name))]
        for name in ('vizwiz', 'scienceqa', 'textvqa', 'mme', 'mmbench', 'mmvet')
    }
    short = 'Answer the question using a single word or phrase.'
    letter = "Answer with the option's letter from the given choices directly."
    unanswerable = "When the provided information is insufficient, respond with 'Unanswerable'."
    assert prompts['vizwiz'][0] == f'What is this?\n{unanswerable}\n{short}'
    choices = 'A. sun\nB. moon\nC. pea'
    assert prompts['scienceqa'][1] == f'Context: Look up.\nWhich is largest?\n{choices}\n{letter}'
    assert prompts['textvqa'][4] == (
        f'What does sign 4 say?\nReference OCR token: STOP, a, b\n{short}'
    )
    assert prompts['mme'][0] == f'Is it so?\n{short}'
    assert prompts['mmbench'][1] == (
        f'It barks.\nWhich animal "is" this?\nA. dog\nB. a red fox\nC. cat\n{letter}'
    )
    assert prompts['mmvet'][0] == 'What is x?'


def test_parts_and_a_kill_ask_no_question_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data, out, whole = MAKERS['vqav2'](tmp_path / 'data'), tmp_path / 'out', tmp_path / 'whole'
    asked: list[str] = []
    answer = running._answer

    def count(item: Item, *rest: object) -> Answered:
        asked.append(item.id)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return answer(item, *rest)  # type: ignore[arg-type]

    assert run(monkeypatch, 'vqav2', '--data', data, '-o', whole) == 0
    monkeypatch.setattr(running, '_answer', count)
    arguments = ('vqav2', '--data', data, '-o', out, '--shard')
    assert run(monkeypatch, *arguments, '2/2') == 130
    part = out / 'answers-2-of-2.jsonl'
    assert len(part.read_text().splitlines()) == 3
    part.write_bytes(part.read_bytes() + b'{"id": "78", "ans')
    assert run(monkeypatch, *arguments, '2/2') == 0
    assert not (out / 'scores.json').exists()
    assert run(monkeypatch, *arguments, '1/2') == 0
    assert sorted(asked) == sorted([*(str(70 + n) for n in range(10)), asked[3]])
    assert (out / 'scores.json').read_text() == (whole / 'scores.json').read_text()
    predictions = [
        {each['question_id']: each['answer'] for each in json.loads(path.read_text())}
        for path in (out / 'predictions.json', whole / 'predictions.json')
    ]
    assert predictions[0] == predictions[1]


def test_a_black_picture_and_a_long_question_are_asked_all_the_same(tmp_path: Path) -> None:
    data = MAKERS['vqav2'](tmp_path / 'data')
    Image.new('RGB', (64, 48)).save(data / 'val2014' / 'COCO_val2014_000000000000.jpg')
    path = data / 'v2_OpenEnded_mscoco_val2014_questions.json'
    questions = json.loads(path.read_text())
    questions['questions'][2]['question'] = 'far ' * 2000
    dump(path, questions)
    items = BENCHMARKS['vqav2'].read(data)
    assistant = load('llava-phi-tiny')
    answers = running.ask_all(BENCHMARKS['vqav2'], items, assistant, tmp_path / 'out')
    assert answers['70'].fits
    assert not answers['72'].fits
    assert answers['72'].answer == ''


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['bingo', '--data', 'D'], "no benchmark 'bingo'"),
        (['pope'], '--data is missing'),
        (['pope', '--data', 'D'], '--out is missing'),
        (['pope', '--data', 'D', '-o', 'O', '--shard', '3/2'], 'I from 1 to N'),
        (['pope', '--data', 'D', '-o', 'O', '--shard', '1/' + '9' * 5000], 'I from 1 to N'),
        (
            ['pope', '--data', 'D', '-o', 'O', '--shard', '1/999999999'],
            'than there are questions: 18',
        ),
        (['pope', '--data', 'D', '-o', 'D/coco_pope_random.json'], 'cannot be written: '),
        (['pope', '--data', 'nowhere', '-o', 'O'], 'there is no folder nowhere'),
        (['pope', '--data', '.', '-o', 'O'], 'holds none of coco_pope_random.json'),
        (['vqav2', '--data', 'nowhere', '-o', 'O'], 'there is no folder nowhere'),
        (['pope', '--data', 'D', '-o', 'D'], 'D is not empty and holds no run'),
        (['pope', '--data', 'D', '--predictions', 'x'], 'there is no file x'),
        (['--table', 'D'], 'D holds no scores.json'),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    MAKERS['pope'](tmp_path / 'D')
    assert run(monkeypatch, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert sentence in line


def test_missing_and_damaged_pictures_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data, out = MAKERS['vqav2'](tmp_path / 'data'), tmp_path / 'out'
    picture = data / 'val2014' / 'COCO_val2014_000000000001.jpg'
    picture.write_bytes(b'no picture')
    assert run(monkeypatch, 'vqav2', '--data', data, '-o', out) == 2
    assert f"question '72': the picture {picture} cannot be read" in capsys.readouterr().err
    assert len((out / 'answers.jsonl').read_text().splitlines()) == 2
    picture.unlink()
    assert run(monkeypatch, 'vqav2', '--data', data, '-o', out) == 2
    assert f'there is no picture {picture} (2 of 10' in capsys.readouterr().err
    assert run(monkeypatch, 'pope', '--data', MAKERS['pope'](tmp_path / 'p'), '-o', out) == 2
    assert 'holds another run: of the benchmark vqav2, not pope' in capsys.readouterr().err


def test_a_question_that_is_no_text_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data, out = MAKERS['pope'](tmp_path / 'data'), tmp_path / 'out'
    path = data / 'coco_pope_popular.json'
    path.write_text(path.read_text().replace('a thing 3', 'a thing \\ud800'))
    assert run(monkeypatch, 'pope', '--data', data, '-o', out) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path}, line 4, field 'text': " in line and 'is no Unicode text' in line
    assert not out.exists()


@pytest.mark.parametrize(
    ('line', 'sentence'),
    [
        ('{"id": "popular/7", "answer": "Yes"}', "there is no question 'popular/7'; remove it"),
        ('{"id": "popular/1", "answer": "???"}', "question 'popular/1' has another answer before"),
        ('{"id": "popular/1", "question_id": 2, "answer": "No"}', "no field 'question_id'"),
        ('[' * 100_000, 'is no answer (no JSON: recursion limit'),
    ],
    ids=lambda text: text[-40:],
)
def test_answers_to_other_questions_are_not_taken(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    line: str,
    sentence: str,
) -> None:
    data, out = MAKERS['pope'](tmp_path / 'data'), tmp_path / 'out'
    assert run(monkeypatch, 'pope', '--data', data, '-o', out) == 0
    path = out / 'answers.jsonl'
    path.write_text(f'{path.read_text()}{line}\n')
    capsys.readouterr()
    assert run(monkeypatch, 'pope', '--data', data, '-o', out) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert f'{path}, line 19' in said and sentence in said


def test_answers_of_another_engine_are_not_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip('torch')
    data, out = MAKERS['pope'](tmp_path / 'data'), tmp_path / 'out'
    assert run(monkeypatch, 'pope', '--data', data, '-o', out) == 0
    capsys.readouterr()
    assert run(monkeypatch, 'pope', '--data', data, '-o', out, '--engine', 'torch') == 2
    assert 'holds another run: of the engine onnxruntime, not torch' in capsys.readouterr().err


def test_the_table_sets_results_beside_published_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data, out = MAKERS['pope'](tmp_path / 'data'), tmp_path / 'my <model>|1'
    folder = BENCHMARKS['pope'].write(
        data, {item.id: 'yes' for item in BENCHMARKS['pope'].read(data)}, tmp_path
    )
    folder = folder.rename(tmp_path / 'my <model>')
    assert run(monkeypatch, 'pope', '--data', data, '--predictions', folder, '-o', out) == 0
    capsys.readouterr()
    assert run(monkeypatch, '--table', out, '-o', tmp_path / 'table') == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('| Model | VQAv2 | VizWiz | ScienceQA-IMG | TextVQA | POPE | MME |')
    assert lines[2] == '| **my <model>** | - | - | - | - | 50.0 | - | - | - |'
    assert lines[3].startswith('| LLaVA-Phi (Phi-2 2.7B) | 71.4 | 35.9 | 68.4 | 48.6 | 85.0 |')
    page = (tmp_path / 'table' / 'table.html').read_text()
    assert 'my &lt;model&gt;' in page
    assert 'http' not in page
