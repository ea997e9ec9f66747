"""The demonstration plays, asks, shows and writes its page, and leaves nothing running."""

import errno
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('llava_phi.srv')

from rich.console import Console

from ros2_llava_phi.assistant.answer import ModelIdentity
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.question import Kind
from ros2_llava_phi.bags.bag import Storage
from ros2_llava_phi.bags.bag_writer import write_bag
from ros2_llava_phi.bags.ground_truth import GroundTruth
from ros2_llava_phi.demo.demonstration import Show, demonstrate
from ros2_llava_phi.demo.drive import Moment
from ros2_llava_phi.demo.exchange import write_report
from ros2_llava_phi.errors import ClientError, FileError

SCRIPTED_NODE = [sys.executable, str(Path(__file__).with_name('scripted_node.py'))]
START_NS = 1_600_000_000 * 10**9
PERIOD_NS = 50_000_000

# The front camera sees red for 2 s, then blue for 2 s, then nothing; the rear one begins at blue.
SCENES = (('red', (220, 0, 0)), ('blue', (0, 0, 220)), ('black', (0, 0, 0)))
TRUTHS = {'red': 'Yes', 'blue': 'No', 'black': 'cannot tell'}

MOMENTS = (
    Moment(1.0, 'Is it red?', Kind.YES_NO, 'front'),
    Moment(1.0, 'Is it red?', Kind.YES_NO, 'rear'),
    Moment(3.0, 'Is it red?', Kind.YES_NO, 'front', remark='again, after the scene changed'),
    Moment(3.2, 'again: <script>alert("x")</script>', Kind.FREE_TEXT, 'front'),
    Moment(3.4, 'Where?', Kind.FREE_TEXT, 'left', refused_with='UNKNOWN_CAMERA'),
    Moment(5.0, 'Is it red?', Kind.YES_NO, 'front', remark='the lens is covered'),
)


def scene(camera: str, index: int) -> tuple[str, tuple[int, int, int]]:
    """Return what a camera sees in its frame of that index."""
    return SCENES[(index // 40 + (camera == 'rear')) % 3]


@pytest.fixture
def show(ros_domain: int, tmp_path: Path) -> Show:
    """Make the recording of two cameras, and what is true of it."""
    answers = {}

    def frames() -> Iterator[tuple[str, Frame]]:
        for index in range(120):
            for camera in ('front', 'rear'):
                name, colour = scene(camera, index)
                stamp_ns = START_NS + index * PERIOD_NS
                answers[camera, stamp_ns] = {'Is it red?': TRUTHS[name]}
                image = np.full((24, 32, 3), colour, np.uint8)
                yield (
                    f'/{camera}/image_raw/compressed',
                    Frame(image, stamp_ns=stamp_ns, frame_id=f'{camera}_optical'),
                )

    write_bag(tmp_path / 'bag', Storage.MCAP, frames())
    return Show(tmp_path / 'bag', GroundTruth(answers), MOMENTS)


class Page(HTMLParser):
    """Collect what a page refers to, and what it says."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: set[str] = set()
        self.words = ''
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or '' for name, value in attributes if name in ('src', 'href')]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_a_page_that_cannot_be_written_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / 'demo.html'
    page.write_text('before')

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, 'fsync', fail)
    with pytest.raises(FileError, match=r'demo\.html cannot be written: No space left'):
        write_report(page, [], {}, ModelIdentity('a', '0', 'torch', 'fp32', 'cpu', 28, 4, 64))
    assert page.read_text() == 'before'


def test_the_demonstration(show: Show, tmp_path: Path) -> None:
    printed = io.StringIO()
    page = tmp_path / 'out' / 'demo.html'
    exchanges = demonstrate(show, page, Console(file=printed, width=200), SCRIPTED_NODE)

    assert [each.moment for each in exchanges] == list(MOMENTS)
    assert [each.error for each in exchanges] == ['', '', '', '', 'UNKNOWN_CAMERA', '']
    assert [each.right for each in exchanges] == [True, True, True, None, True, True]
    assert [each.text for each in exchanges[:3]] == ['Yes', 'No', 'No']
    assert exchanges[5].abstain_reason
    for each in exchanges:
        if each.error:
            continue
        assert each.frame_id == f'{each.moment.camera}_optical'
        index, rest = divmod(each.bag_stamp_ns - START_NS, PERIOD_NS)
        assert rest == 0
        # Frames come by the clock: the one that was looked at is of the moment of asking.
        assert abs(index * PERIOD_NS / 1e9 - each.moment.at_s) < 1.0
        assert 0 <= each.frame_age_s < 1.0

    table = printed.getvalue()
    for word in ('Is it red?', 'UNKNOWN_CAMERA', 'cannot tell', '90%', 'scripted@0123456789ab'):
        assert word in table
    assert f'The page: {page}' in table

    # Refusals and abstentions that are right are not passed off as answers.
    counted = (
        '4 answered, 1 abstained, 1 refused; 5 of 5 right, of which 1 abstained and 1 refused'
    )
    assert f'6 questions: {counted}, as they had to be.' in table

    parsed = Page(page)
    assert f'{counted}, as they had to be.' in parsed.words
    assert 'alt="front at 1.0 s: Is it red? Answer: Yes"' in page.read_text()
    assert len(parsed.sources) == 5
    assert all(each.startswith('data:image/jpeg;base64,') for each in parsed.sources)
    assert not parsed.tags & {'script', 'link', 'iframe'}
    assert not re.search(r'https?://|url\(|@import', page.read_text())
    assert 'prefers-color-scheme: dark' in page.read_text()
    for word in ('<script>alert("x")</script>', 'UNKNOWN_CAMERA', 'scripted@0123456789ab'):
        assert word in parsed.words


def test_a_node_that_fails_is_reported_at_once(show: Show, tmp_path: Path) -> None:
    with pytest.raises(ClientError, match=r'exit code 1; .*demo\.log says why'):
        demonstrate(
            show, tmp_path / 'demo.html', Console(file=io.StringIO()), [*SCRIPTED_NODE, 'fail']
        )
    assert 'the script says that the node fails' in (tmp_path / 'demo.log').read_text()


def test_an_interruption_stops_everything(
    show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[str]] = []

    class Watched(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload]
            started.append(self)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, 'Popen', Watched)
    monkeypatch.setattr('ros2_llava_phi.demo.demonstration.row', interrupt)
    with pytest.raises(KeyboardInterrupt):
        demonstrate(show, tmp_path / 'demo.html', Console(file=io.StringIO()), SCRIPTED_NODE)
    assert [each.returncode for each in started] == [0, 0]
