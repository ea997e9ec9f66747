"""A run: the same every time, goes on after a kill, and is mixed with no other."""

import errno
import json
import os
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
from replay_stand_in import COLOURS, QUESTIONS, Scripted, write_recording

from ros2_llava_phi.cli.main import main
from ros2_llava_phi.entry_points import replay as replay_alone
from ros2_llava_phi.errors import ResultsError
from ros2_llava_phi.files.json_lines import JsonLines
from ros2_llava_phi.replay.comparison import check_baseline
from ros2_llava_phi.replay.questions import QuestionsFile
from ros2_llava_phi.replay.read_questions import read_questions
from ros2_llava_phi.replay.report import headline
from ros2_llava_phi.replay.results import Run, read_results
from ros2_llava_phi.replay.runs import conclude, open_recordings, run_offline
from ros2_llava_phi.replay.summary import Summary

ROOT = Path(__file__).parents[1]
DRIVE = ROOT / 'ros2_llava_phi' / 'data' / 'drive'


def run(
    folder: Path,
    *bags: Path,
    questions: str = QUESTIONS,
    blank: bool = False,
    baseline: Path | None = None,
) -> tuple[Scripted, Summary]:
    """Run the scripted assistant over recordings into folder/out."""
    (folder / 'q.yaml').write_text(questions)
    assistant = Scripted()
    askings = open_recordings(bags or [folder / 'bag'], read_questions(folder / 'q.yaml'))
    notes = run_offline(askings, assistant, folder / 'out', blank)  # type: ignore[arg-type]
    return assistant, conclude(askings, folder / 'out', notes, baseline)


def read_questions_of(folder: Path) -> QuestionsFile:
    (folder / 'q.yaml').write_text(QUESTIONS)
    return read_questions(folder / 'q.yaml')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_recording(tmp_path / 'bag', COLOURS)
    return tmp_path


def test_what_comes_out(folder: Path) -> None:
    assistant, summary = run(folder, blank=True)
    records = read_results(folder / 'out' / 'results.jsonl')
    assert [(each.frame, each.entry) for each in records[:5]] == [
        (0, 1),
        (0, 2),
        (1, 1),
        (2, 1),
        (2, 2),
    ]
    # Every frame is looked at once, and so is the grey picture.
    assert len(assistant.looked) == len(COLOURS) + 1
    assert len(assistant.asked) == 12 + 2
    assert [each.text for each in records if each.entry == 1] == [
        *('Yes', 'Yes', 'Yes', 'No', 'No', 'No', 'cannot tell', 'Yes')
    ]
    assert records[0].truth == ('Yes',) and records[-1].truth == ('No',)
    # By hand: frames 0 to 2 say yes and are; 3 says no where yes is true; 4 and 5 say no and are;
    # 6 abstains and 7 says yes where no is true. Of the colour, frames 0 and 2 are red.
    first, second = summary.questions
    assert first.scores.accuracy is not None and second.scores.accuracy is not None
    assert (first.scores.accuracy.count, first.scores.accuracy.total) == (5, 8)
    assert (second.scores.accuracy.count, second.scores.accuracy.total) == (2, 4)
    assert first.confusion is not None
    assert first.confusion.counts == ((3, 1, 0), (1, 2, 1))
    assert first.scores.flips.flips == 3
    # Grey is not red: of the right answers, the two that say no stay right.
    assert first.scores.blank is not None and first.scores.blank.count == 2
    assert json.loads((folder / 'out' / 'summary.json').read_text())['scores']['asked'] == 12


def test_it_goes_on_where_a_kill_stopped_it(folder: Path) -> None:
    run(folder)
    results = folder / 'out' / 'results.jsonl'
    whole = results.read_bytes()
    lines = whole.splitlines(keepends=True)
    results.write_bytes(b''.join(lines[:5]) + lines[5][:40])
    assistant, _ = run(folder)
    assert results.read_bytes() == whole
    assert len(assistant.asked) == len(lines) - 5
    assistant, _ = run(folder)
    assert assistant.asked == [] and results.read_bytes() == whole


def test_another_run_is_refused(folder: Path) -> None:
    run(folder)
    before = (folder / 'out' / 'results.jsonl').read_bytes()
    with pytest.raises(ResultsError, match='another run: its questions or their ground truth'):
        run(folder, questions=QUESTIONS.replace('Is it red?', 'Is it blue?'))
    with pytest.raises(ResultsError, match='another run: without --blank'):
        run(folder, blank=True)
    other = write_recording(folder / 'other', COLOURS[:3])
    with pytest.raises(ResultsError, match='another run: of bag; give a new folder'):
        run(folder, other)
    path = folder / 'out' / 'run.json'
    held = Run.model_validate_json(path.read_bytes())
    model = replace(held.model, precision='int8')
    path.write_text(held.model_copy(update={'model': model}).model_dump_json())
    with pytest.raises(ResultsError, match=r'another run: by scripted@0123456789ab \(script int8'):
        run(folder)
    path.unlink()
    with pytest.raises(ResultsError, match='not empty and holds no run'):
        run(folder)
    assert (folder / 'out' / 'results.jsonl').read_bytes() == before


def test_a_full_disk_loses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(folder)
    whole = (folder / 'out' / 'results.jsonl').read_bytes()
    (folder / 'out' / 'results.jsonl').unlink()
    real, written = os.write, 0

    def write(file: int, data: bytes) -> int:
        nonlocal written
        if written >= 2000:
            raise OSError(errno.ENOSPC, 'No space left on device')
        # The disk takes the beginning of a line only.
        written += len(data[:300])
        return real(file, data[:300])

    monkeypatch.setattr(os, 'write', write)
    with pytest.raises(ResultsError, match=r'No space left on device; what it holds is kept'):
        run(folder)
    monkeypatch.undo()
    kept = (folder / 'out' / 'results.jsonl').read_bytes()
    assert kept and kept.endswith(b'\n') and whole.startswith(kept)
    run(folder)
    assert (folder / 'out' / 'results.jsonl').read_bytes() == whole


def test_several_recordings_and_a_baseline(folder: Path) -> None:
    other = write_recording(folder / 'other', ['blue', 'blue'])
    _, before = run(folder, folder / 'bag', other)
    assert [each.name for each in before.recordings] == ['bag', 'other']
    (folder / 'out').rename(folder / 'old')
    _, summary = run(folder, other, baseline=folder / 'old' / 'results.jsonl')
    assert summary.comparison is not None
    assert (summary.comparison.pairs, summary.comparison.p_value) == (3, 1.0)
    with pytest.raises(ResultsError, match='other is given twice'):
        run(folder, other, other)


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        ('', 'holds no results'),
        ('[' * 100_000 + '\n', 'line 1 is no result: no JSON'),
        ('old', r'any of these questions about bag, but to others about other; name'),
    ],
    ids=lambda text: text[:20],
)
def test_a_baseline_with_nothing_in_common_is_refused(
    folder: Path, content: str, sentence: str
) -> None:
    askings = open_recordings([folder / 'bag'], read_questions_of(folder))
    path = folder / 'old.jsonl'
    path.write_text(content)
    if content == 'old':
        run(folder, write_recording(folder / 'other', COLOURS[:1]))
        path = folder / 'out' / 'results.jsonl'
    with pytest.raises(ResultsError, match=f'{path}.*{sentence}'):
        check_baseline(path, askings)


def test_a_baseline_of_other_frames_is_told(folder: Path) -> None:
    run(folder)
    old = (folder / 'out').rename(folder / 'old') / 'results.jsonl'
    check_baseline(old, open_recordings([folder / 'bag'], read_questions_of(folder)))
    old.write_text(re.sub(r'"stamp_ns":\d+', '"stamp_ns":5', old.read_text()))
    _, summary = run(folder, baseline=old)
    why = 'the baseline has no answer to the same question about the same frame'
    assert f'; not comparable: {why}.' in headline(summary)
    words = Page(folder / 'out' / 'report.html').words
    assert f'Not comparable: {why}.' in words and 'no more than chance' not in words


class Page(HTMLParser):
    """Collect what a page refers to, and what it says."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.words = ''
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or '' for name, value in attributes if name in ('src', 'href')]

    def handle_data(self, data: str) -> None:
        self.words += ' '.join(data.split()) + ' '


def test_the_report_is_complete(folder: Path) -> None:
    run(folder)
    (folder / 'out').rename(folder / 'old')
    old = folder / 'old' / 'results.jsonl'
    old.write_text(old.read_text().replace('"text":"Yes"', '"text":"No"'))
    questions = f'{QUESTIONS}  - {{question: too long}}\n  - {{question: "<script>x</script>"}}\n'
    run(folder, questions=questions, blank=True, baseline=old)
    page = Page(folder / 'out' / 'report.html')
    for words in (
        *('Timeline', 'Against the baseline', 'Questions', 'What was taken for what'),
        *('Is it as sure as it is right?', 'What if only the surest count?', 'Worst mistakes'),
        *('Where there is no answer', 'INVALID_QUESTION', 'the picture does not tell'),
        *('How it was made', 'scripted', 'Is it red?', '<script>x</script>', '58.3 %'),
    ):
        assert words in page.words, words
    # Of five wrong answers, those that are not of the same moment as a surer one; a right one of
    # each question; and the frames with which the stretches of answers begin.
    assert page.tags.count('figure') == 3 + 2
    assert page.tags.count('img') == 3 + 2 + page.tags.count('section')
    links = [each for each in page.sources if not each.startswith('data:image/jpeg;base64,')]
    assert links and all(each.startswith('#') for each in links)
    assert page.tags.count('svg') == 3
    assert not {'link', 'iframe'} & set(page.tags) and page.tags.count('script') == 1
    text = (folder / 'out' / 'report.html').read_text()
    assert not re.search(r'https?://|url\(|@import', text)
    assert 'prefers-color-scheme: dark' in text


def test_the_command_on_the_packaged_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The packaged model is as good on it as its card says, and twice the same."""
    questions = ROOT / 'config' / 'questions' / 'drive.yaml'
    few = re.sub('{(every_s|on_change|from_s): .*}', '{every_s: 7}', questions.read_text())
    (tmp_path / 'q.yaml').write_text(few)

    def command(out: str, *more: str) -> int:
        arguments = [str(DRIVE), '--questions', str(tmp_path / 'q.yaml'), '-o', out, *more]
        monkeypatch.setattr(sys, 'argv', ['llava-phi', 'replay', *arguments])
        with pytest.raises(SystemExit) as exit_:
            main()
        return int(exit_.value.code or 0)

    assert command(str(tmp_path / 'a')) == 0
    assert command(str(tmp_path / 'b'), '--baseline', str(tmp_path / 'a' / 'results.jsonl')) == 0
    output = capsys.readouterr().out
    assert '0 better and 0 worse' in output and str(tmp_path / 'b' / 'report.html') in output
    summary = Summary.model_validate_json((tmp_path / 'a' / 'summary.json').read_bytes())
    assert summary.scores.accuracy is not None
    # The card's lowest score is 93 % for numbers.
    assert summary.scores.accuracy.total > 40 and summary.scores.accuracy.share > 0.93
    first, second = (
        [each.model_dump(exclude={'seconds'}) for each in read_results(out / 'results.jsonl')]
        for out in (tmp_path / 'a', tmp_path / 'b')
    )
    assert first == second
    (tmp_path / 'q.yaml').write_text('- {question: A, camera: left}')
    assert command(str(tmp_path / 'c')) == 2
    error = capsys.readouterr().err
    assert error.startswith('llava-phi: ') and error.count('\n') == 1
    assert '/front/image_raw/compressed, /rear/image_raw/compressed' in error
    assert not (tmp_path / 'c').exists()


def test_the_schema_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, 'argv', ['replay', '--schema'])
    with pytest.raises(SystemExit) as exit_:
        replay_alone()
    assert not exit_.value.code
    assert json.loads(capsys.readouterr().out)['required'] == ['questions']


def test_ray_begins_in_no_folder_of_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ros2_llava_phi.replay.on_ray import ModelChoice, run_on_ray

    monkeypatch.setitem(sys.modules, 'ray', ModuleType('ray'))  # It is not come to.
    with pytest.raises(ResultsError, match='not empty and holds no run; give a new folder'):
        run_on_ray([], ModelChoice('llava-phi-tiny'), folder, False)


def test_ray_gives_the_same(folder: Path) -> None:
    pytest.importorskip('ray')
    from ros2_llava_phi.replay.on_ray import ModelChoice, run_on_ray

    bags = [folder / 'bag', write_recording(folder / 'other', COLOURS[:3])]
    (folder / 'q.yaml').write_text(QUESTIONS)
    askings = open_recordings(bags, read_questions(folder / 'q.yaml'))
    run_on_ray(askings, ModelChoice('llava-phi-tiny'), folder / 'ray', False)
    from ros2_llava_phi.assistant.load import load

    run_offline(askings, load('llava-phi-tiny'), folder / 'one')
    first, second = (
        [each.model_dump(exclude={'seconds'}) for each in read_results(out / 'results.jsonl')]
        for out in (folder / 'ray', folder / 'one')
    )
    assert first == second


def test_only_one_process_writes_results(folder: Path) -> None:
    run(folder)
    path = folder / 'out' / 'results.jsonl'
    whole = path.read_bytes()
    with (
        JsonLines(path, ResultsError),
        pytest.raises(ResultsError, match='another process is writing'),
    ):
        run(folder)
    assert path.read_bytes() == whole
    path.write_bytes(whole + whole.splitlines(keepends=True)[0])
    with pytest.raises(ResultsError, match='line 13 is about what an earlier line is; remove it'):
        run(folder)
