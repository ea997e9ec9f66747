"""The report: what is on the page, that all can read it, and that nothing makes it too large."""

import base64
import hashlib
import html
import json
import math
import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from replay_stand_in import COLOURS, IDENTITY, QUESTIONS, Scripted, write_recording

from ros2_llava_phi.assistant.answer import Timings
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.bags.bag import Storage, Transport
from ros2_llava_phi.bags.bag_writer import write_bag
from ros2_llava_phi.imaging.pictures import jpeg_uri
from ros2_llava_phi.replay.charts import (
    latency_chart,
    milliseconds,
    reliability_chart,
    risk_coverage_chart,
)
from ros2_llava_phi.replay.comparison import compare
from ros2_llava_phi.replay.gallery import JPEG_QUALITY, LARGE, SMALL
from ros2_llava_phi.replay.notes import RecordingNotes
from ros2_llava_phi.replay.read_questions import read_questions
from ros2_llava_phi.replay.record import Record
from ros2_llava_phi.replay.report import report
from ros2_llava_phi.replay.results import Run, environment
from ros2_llava_phi.replay.runs import conclude, open_recordings, run_offline
from ros2_llava_phi.replay.summary import Summary, summarise
from ros2_llava_phi.replay.timeline import clock, pieces, timelines
from ros2_llava_phi.scoring.calibration import reliability

MOST_BYTES = 2_000_000
RUN = Run(recordings={}, questions='0' * 16, model=IDENTITY, way='offline', blank=False)


def record(frame: int = 0, **fields: object) -> Record:
    """Return the record of a yes/no question about a frame, two frames a second."""
    rest = {
        'recording': 'bag',
        'camera': 'front',
        'frame': frame,
        'stamp_ns': frame + 1,
        'at_s': frame / 2,
        'entry': 1,
        'question': 'Is it red?',
        'kind': 'yes_no',
        'text': 'Yes',
        'value': True,
        'confidence': 0.9,
        'allowed': ('Yes', 'No'),
        'seconds': Timings(encode=0.01),
    }
    return Record.model_validate(rest | fields)


def page_of(records: Sequence[Record], before: Sequence[Record] = (), scored: int = 1000) -> str:
    """
    Return the report about some records, without pictures.

    scored: of more records, no more count in its figures: what takes long is the same for all.
    """
    names = dict.fromkeys(each.recording for each in records)
    notes = [RecordingNotes(name=each, frames={'front': 1}, seconds=1, notes=()) for each in names]
    comparison = compare('old', before[:scored], records[:scored]) if before else None
    return report(summarise(RUN, environment(), notes, records[:scored], comparison), records)


def run(folder: Path, questions: str = QUESTIONS, *bags: Path) -> tuple[str, Summary]:
    """Return the report about recordings that the scripted assistant was asked about."""
    (folder / 'q.yaml').write_text(questions)
    askings = open_recordings(
        bags or [write_recording(folder / 'bag', COLOURS)], read_questions(folder / 'q.yaml')
    )
    notes = run_offline(askings, Scripted(), folder / 'out')  # type: ignore[arg-type]
    summary = conclude(askings, folder / 'out', notes)
    return (folder / 'out' / 'report.html').read_text(), summary


class Page(HTMLParser):
    """Collect the elements of a page in their order, and its words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words = ''
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or '' for name, value in attributes}))

    def handle_data(self, data: str) -> None:
        self.words += ' '.join(data.split()) + ' '

    def of(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of all elements of a tag."""
        return [attributes for name, attributes in self.elements if name == tag]


# --- Point 5: whatever the clock did


def damaged_clocks(rng: random.Random) -> list[float]:
    """Return the times of 40 frames by a clock that does something odd somewhere."""
    times = [place / 2 for place in range(40)]
    place, jump = rng.randrange(1, 39), 10 ** rng.uniform(0, 9)
    kinds = (
        times,
        [each + jump * (index >= place) for index, each in enumerate(times)],
        [each + jump * (index < place) for index, each in enumerate(times)],
        [each + jump * (index == place) for index, each in enumerate(times)],
        [0.0, *(each + jump for each in times[1:])],
        [rng.choice((math.nan, math.inf, -math.inf, 1e300)) if index == place else each
         for index, each in enumerate(times)],
        [math.nan] * 40,
        [0.0] * 40,
        [jump] * 40,
        [each * 1e-9 for each in times],
        [each * jump for each in times],
        [min(each, times[place]) for each in times],
        [-each for each in times],
        [rng.uniform(-1, 1) * jump for _ in times],
        [times[place]],
        [each for each in times if rng.random() < 0.2] or [0.0],
    )  # fmt: skip
    return kinds[rng.randrange(len(kinds))]


@pytest.mark.parametrize('seed', range(150))
def test_the_timeline_survives_any_clock(seed: int) -> None:
    rng = random.Random(seed)
    times = damaged_clocks(rng)
    cameras = ('front', 'rear')[: rng.randint(1, 2)]
    records = [
        record(frame, at_s=at_s, camera=camera, entry=entry, text=rng.choice(('Yes', 'No')))
        for frame, at_s in enumerate(times)
        for entry, camera in enumerate(cameras, 1)
    ]
    (timeline,) = timelines(records)
    assert len(timeline.lanes) == len(cameras)
    assert len(timeline.ticks) <= 11
    places = [place for place, _ in timeline.ticks]
    assert places == sorted(places) and all(-0.01 <= each <= 100.01 for each in places)
    for lane in timeline.lanes:
        # All that was asked is there, once.
        assert sorted(each.frame for stretch in lane.stretches for each in stretch.records) == [
            *range(len(times))
        ]
        drawn = list(pieces(lane, timeline, 1))
        ends = [0.0]
        for piece in drawn:
            assert piece.left >= ends[-1] - 0.02 and piece.width >= 0
            ends.append(piece.left + piece.width)
        assert ends[-1] <= 100.02
        # It does not shrink to a line: a person sees something of what was answered.
        assert sum(each.width for each in drawn) > 9


def test_seconds_are_to_scale_where_they_say_something() -> None:
    usual = [record(frame) for frame in range(0, 120, 2)]
    (timeline,) = timelines(usual)
    assert timeline.to_scale and timeline.ticks[1][1] == '0:10'
    # Six cameras at once, and a pause as long as the recording, are nothing odd.
    many = [record(n, camera=f'c{c}', entry=c, at_s=n / 2) for n in range(20) for c in range(6)]
    paused = [*usual, *(record(frame, at_s=frame / 2 + 60) for frame in range(120, 240, 2))]
    assert all(timelines(each)[0].to_scale for each in (many, paused))
    # The date was set in between: half of the width belongs to what was before.
    jumped = [record(frame, at_s=frame / 2 + 489_000 * (frame >= 20)) for frame in range(40)]
    (timeline,) = timelines(
        [each.model_copy(update={'text': str(each.frame >= 20)}) for each in jumped]
    )
    assert not timeline.to_scale
    assert [each.width for each in pieces(timeline.lanes[0], timeline, 1)] == [50, 50]
    assert timeline.ticks[0][1] == '0:00' and timeline.ticks[-1][1] == '135:50:18'


def test_short_stretches_are_joined_and_a_mistake_in_them_shows() -> None:
    records = [
        record(n, text=('Yes', 'No')[n % 2], truth=('No',) if n == 2000 else ())
        for n in range(4000)
    ]
    (timeline,) = timelines(records)
    drawn = list(pieces(timeline.lanes[0], timeline, 1))
    assert 90 <= len(drawn) <= 100
    assert [each.colour for each in drawn] == ['several'] * len(drawn)
    assert [each.wrong for each in drawn].count(True) == 1


LONG = 'a rather long answer, as free texts go, & with "signs" that <need> escaping ' * 3
MANY: dict[str, list[Record]] = {
    '489,000 s': [record(n, at_s=n / 2 + 489_000 * (n > 3)) for n in range(40)],
    '1e9 s': [record(n, at_s=n * 1e9) for n in range(40)],
    'no time': [record(n, at_s=math.nan, text=str(n)) for n in range(3000)],
    'thousands of frames': [
        record(n, text=('Yes', 'No')[n % 2], truth=('Yes',), recording=f'bag{n % 3}')
        for n in range(10_000)
    ],
    'each another long text': [
        record(n, kind='text', question=LONG, text=f'{n} {LONG}', truth=(f'{n % 2} {LONG}',))
        for n in range(1_200)
    ],
    'hundreds of questions': [
        record(n, entry=entry, question=f'Is number {entry} red?', text=f'{(n + entry) % 5}')
        for n in range(6)
        for entry in range(1, 501)
    ],
    'hundreds of recordings': [
        record(n, recording=f'bag_{bag}', entry=entry, truth=('No', 'Yes')[n % 2 :])
        for bag in range(400)
        for n in range(2)
        for entry in range(1, 4)
    ],
    'thousands of questions': [
        record(0, entry=n, question=f'{n} {LONG}', error='TIMEOUT', error_text=f'{n} {LONG}')
        for n in range(1, 3001)
    ],
}  # fmt: skip


@pytest.mark.parametrize('name', MANY)
def test_a_report_without_pictures_stays_below_2_megabytes(name: str) -> None:
    records = MANY[name]
    before = [each.model_copy(update={'text': 'No'}) for each in records]
    page = page_of(records, before)
    assert len(page.encode()) < MOST_BYTES
    listed = Page(page).of('li')
    rows = [each for each in listed if 'data-marks' in each]
    assert len(rows) > 500 or len(rows) == len(
        [
            stretch
            for each in timelines(records)
            for lane in each.lanes
            for stretch in lane.stretches
        ]
    )
    wrong = [each for each in rows if 'wrong' in each['data-marks']]
    left_out = int((re.search(r'The (\d+) lines that have no room', page) or [0, 0])[1])
    every = [s for each in timelines(records) for lane in each.lanes for s in lane.stretches]
    assert len(rows) + left_out == len(every)
    if left_out:
        assert len(wrong) == min(len(rows), sum('wrong' in each.marks for each in every))


def test_pictures_are_bounded(tmp_path: Path) -> None:
    """Of noise, which no JPEG makes small, in frames that are wide or narrow."""
    rng = np.random.default_rng(0)
    shapes = [(220, 260, 3), (900, 40, 3)]

    def frames():  # type: ignore[no-untyped-def]
        for number in range(400):
            image = rng.integers(0, 256, shapes[number % 2], np.uint8)
            yield '/front/image', Frame(image, 10**18 + number * 10**8, 'front')

    bag = tmp_path / 'noise'
    write_bag(bag, Storage.MCAP, frames(), transport=Transport.COMPRESSED)
    page, _ = run(tmp_path, QUESTIONS.replace('answers: no', 'answers: yes'), bag)
    pictures = Page(page).of('img')
    assert len(pictures) - page.count('class="moment with"') <= 12 + 8
    assert page.count('class="moment with"') == 96 < page.count('class="moment')
    # At their largest, together with the rest of the page.
    large, small = (
        len(jpeg_uri(rng.integers(0, 256, (side, side, 3), np.uint8), JPEG_QUALITY, side))
        for side in (LARGE, SMALL)
    )
    assert len(page.encode()) < MOST_BYTES + (12 + 8) * large + 96 * small < 10_000_000


# --- Point 13: what people look for, and find in every window


def test_without_truth_a_page_says_what_was_answered(tmp_path: Path) -> None:
    page, _ = run(tmp_path, 'questions: [{question: "Is it red?", kind: yes_no}]')
    parsed = Page(page)
    assert re.search(r'Yes 4\W+No 3\W+cannot tell 1\W', parsed.words)
    assert 'Some answers' in parsed.words and 'Right answers' not in parsed.words
    # The one chart that is left keeps the width of one of three.
    assert [each['class'] for each in parsed.of('svg')] == ['chart']
    assert re.search(r'svg {[^}]*max-width: 24rem', page)
    assert 'repeat(auto-fill, minmax(min(19rem, 100%), 1fr))' in page


def test_labels_of_charts_are_whole_and_round() -> None:
    bins = reliability([0.3, 0.95, 0.97], [True, False, True])
    charts = [reliability_chart(bins)]
    charts += [risk_coverage_chart(risks, 3) for risks in ([0.0, 0.011], [0.4, 1.0], [0.13], [])]
    for times in (
        [0.0, 0.131, 0.0054],
        [1e9, 3],
        [0.0],
        [math.nan, math.inf, -1, 0.2],
        [29.3] * 999,
    ):
        charts.append(latency_chart(times, {'p50': times[0], 'max': times[-1]}))
    for chart in charts:
        assert 'nan' not in re.sub(r'>[^<]*<', '><', chart)
        for x, anchor, words in re.findall(
            r'<text (?:class="note" )?x="([\d.]+)"[^>]*text-anchor="(\w+)">([^<]*)<', chart
        ):
            wide = 6.6 * len(words)
            left = float(x) - {'start': 0, 'middle': wide / 2, 'end': wide}[anchor]
            assert left >= 0 and left + wide <= 320, (words, x)
        labels = re.findall(r'<text x[^>]*>([\d.,e+]+)(?: %)?<', chart)
        assert len(labels) >= 3
        for label in labels:
            digits = f'{float(label.replace(",", "")):e}'.split('e')[0].rstrip('0').rstrip('.')
            assert len(digits) <= 3, f'{label} is no round number'


def test_the_timeline_comes_before_the_baseline_and_its_table_is_folded() -> None:
    records = [record(n, truth=('Yes',)) for n in range(40)]
    page = page_of(records, [each.model_copy(update={'text': 'No'}) for each in records])
    places = [page.index(f'id="{each}"') for each in ('timeline', 'questions', 'baseline')]
    assert places == sorted(places)
    table = page[page.index('id="baseline"') :]
    assert table.index('<details>') < table.index('<table>')
    assert '40 better' in page[: places[0]] and 'href="#baseline"' in page[: places[0]]


def test_every_picture_says_question_answer_and_time(tmp_path: Path) -> None:
    page, _ = run(tmp_path)
    alternatives = [each['alt'] for each in Page(page).of('img')]
    assert len(alternatives) == len(set(alternatives)) > 5
    for each in alternatives:
        assert re.match(
            r'/front/image at \d+:\d\d(\.\d)? of bag: (Is it red|What colour is it)\?', each
        )
        assert re.search(r'\? (Answer: )?(Yes|No|red|blue|cannot tell)\b', each)


def test_right_answers_have_pictures_and_not_only_the_wrong(tmp_path: Path) -> None:
    page, _ = run(tmp_path)
    section = page[page.index('id="examples"') : page.index('What was taken for what')]
    parsed = Page(section)
    assert len(parsed.of('img')) == 2
    # The first of the five that are right, and the second of two.
    assert re.search(r'0:00, /front/image\s+Is it red. .*0:01, /front/image\s+What', parsed.words)


def test_a_stretch_leads_to_its_frame_and_its_words(tmp_path: Path) -> None:
    page, _ = run(tmp_path)
    parsed = Page(page)
    ids = [attributes['id'] for _, attributes in parsed.elements if 'id' in attributes]
    assert len(ids) == len(set(ids))
    links = [each['href'][1:] for each in parsed.of('a')]
    assert set(links) <= set(ids)
    rows = {each['id'] for each in parsed.of('li') if 'data-marks' in each}
    assert rows and rows <= set(links)
    # Frame 4 is the first where it says no and is right; its picture stands beside the line.
    moment = next(each for each in page.split('<section ') if 'id="a0-0-4"' in each)
    assert '<img src="data:image/jpeg' in moment and 'Is it red? <b class="right">No</b>' in moment
    assert '0:02 <span class="soft">/front/image, frame 4' in moment


def test_scores_are_given_by_recording_and_by_kind(tmp_path: Path) -> None:
    bags = [
        write_recording(tmp_path / 'first', ['red'] * 4),
        write_recording(tmp_path / 'second', ['blue'] * 2),
    ]
    page, summary = run(tmp_path, QUESTIONS, *bags)
    shares = {name: each.accuracy for name, each in summary.by_recording.items()}
    # All is red where it is true; all is blue where red is.
    assert {name: (each.count, each.total) for name, each in shares.items() if each} == {
        'first': (6, 6),
        'second': (0, 3),
    }
    held = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    assert held['by_recording']['first']['accuracy']['share'] == 1
    words = Page(page).words
    assert re.search(r'By kind .*yes or no .*free text .*By recording .*first .*100.0 %', words)


def test_where_no_truth_is_known_nothing_is_called_true_or_wrong() -> None:
    def body(page: str) -> tuple[str, set[str]]:
        parsed = Page(page.partition('<body>')[2].partition('<script>')[0])
        return ' '.join(parsed.words.split()), {each['value'] for each in parsed.of('option')}

    words, offered = body(page_of([record(0, truth=('Yes',)), record(1, truth=('No',))]))
    assert 'answer truth wrong cannot tell' in words
    assert 'the thin line below is the truth' in words and {'right', 'wrong'} <= offered
    words, offered = body(page_of([record(0), record(1, text='No')], [record(0), record(1)]))
    assert 'answer cannot tell' in words and '1 answer that changed' in words
    assert 'unscored' in offered and not {'right', 'wrong'} & offered
    no_truth = re.sub('a known truth|truth unknown|0 with a truth', '', words)
    assert not re.search(r'\b(wrong|truth)\b', no_truth), no_truth


def test_who_abstains_rightly_is_said() -> None:
    fields = {'text': 'cannot tell', 'abstain_reason': 'dark', 'truth': ('cannot tell',)}
    page = page_of([record(0, **fields), record(1, truth=('No',))])
    assert '1 of 2 answers with a known truth, 1 of them by rightly abstaining' in Page(page).words


def test_why_there_is_no_answer_is_said_in_words() -> None:
    text = 'format h264 cannot be decoded; pip install av'
    page = page_of([record(n, error='BAD_FRAME', error_text=text) for n in range(3)])
    assert re.search(rf'BAD_FRAME .*{text} 3 ', Page(page).words)


HOSTILE = [
    '"><script>alert(1)</script>',
    "'></a><img src=x onerror=alert(1)>",
    '</style></script><b>',
    '{{ 7 * 7 }}{% raw %}',
    '\x00\x1b[31m\u202e\udcff\n]]>-->',
]


@pytest.mark.parametrize('name', HOSTILE)
def test_a_hostile_name_stays_text(name: str) -> None:
    fields = {
        **dict.fromkeys(('recording', 'camera', 'question', 'text', 'error_text'), name),
        **{'truth': (name, 'x'), 'choices': (name,), 'allowed': (name,), 'kind': 'choice'},
    }
    records = [record(0, **fields), record(1, **fields | {'truth': ('x',)}), record(2, **fields)]
    records[2] = records[2].model_copy(update={'error': name})
    before = [each.model_copy(update={'text': 'before'}) for each in records]
    page = page_of(records, before)
    page.encode()
    parsed = Page(page)
    assert len(parsed.of('script')) == 1 and not parsed.of('img')
    assert '<' not in name or name not in page
    assert name not in ('{{ 7 * 7 }}{% raw %}',) or name in parsed.words
    assert not any(key.startswith('on') for _, each in parsed.elements for key in each)


def test_the_script_alone_may_run_and_nothing_is_loaded() -> None:
    page = page_of([record(0)])
    (policy,) = (each['content'] for each in Page(page).of('meta') if 'http-equiv' in each)
    (script,) = re.findall('<script>(.*?)</script>', page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"script-src 'sha256-{digest}';" in policy
    assert not re.search(r'https?://|url\(|@import', page)
    # Without the script, the list is whole.
    assert 'id="filter" class="card" hidden' in page and not re.search(r'<li[^>]* hidden', page)


@pytest.mark.parametrize(
    ('seconds', 'words'),
    [
        (59.96, '1:00'), (59.94, '0:59.9'), (0, '0:00'), (3599.96, '1:00:00'), (65.8, '1:05.8'),
        (3661.5, '1:01:01.5'), (-2.5, '-0:02.5'), (-0.01, '0:00'), (math.nan, '?'), (1e300, '?'),
    ],
)  # fmt: skip
def test_no_clock_shows_sixty_seconds(seconds: float, words: str) -> None:
    assert clock(seconds) == words


def test_no_rounded_time_has_a_digit_too_many() -> None:
    assert [milliseconds(each) for each in (0.00994, 0.00996, 0.0104, 9.9996, 12.34)] == [
        *('9.9 ms', '10 ms', '10 ms', '10.0 s', '12.3 s')
    ]
    assert not any(':60' in clock(tenth / 100) for tenth in range(0, 800_000, 7))


def test_cells_of_a_matrix_are_no_stronger_than_what_is_tested() -> None:
    records = [record(n, truth=('Yes',), text='Yes' if n % 3 else 'No') for n in range(90)]
    parts = [int(each) for each in re.findall(r'--part: (\d+)', page_of(records))]
    assert len(parts) == 2 and min(parts) >= 14 and max(parts) <= 40


# --- In a browser, where there is one


def in_browser(page: str, folder: Path, script: str, width: int = 390) -> str:
    """Return what a script says that runs beside a page, of which `page` is the document."""
    chromium = shutil.which('chromium') or shutil.which('google-chrome')
    if chromium is None:
        pytest.skip('there is no Chromium')
    (folder / 'page.html').write_text(page)
    (folder / 'frame.html').write_text(
        f'<iframe id="f" src="page.html" style="width:{width}px;height:800px;border:0"></iframe>'
        '<pre id="said"></pre><script>onload = () => {'
        'const page = f.contentDocument, inside = f.contentWindow;'
        f'said.textContent = JSON.stringify((() => {{ {script} }})()); }}</script>'
    )
    done = subprocess.run(
        [
            *(chromium, '--headless', '--no-sandbox', '--disable-gpu', '--dump-dom'),
            *('--allow-file-access-from-files', f'--user-data-dir={folder}/profile'),
            f'file://{folder}/frame.html',
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    (said_so,) = re.findall('<pre id="said">(.*?)</pre>', done.stdout, re.DOTALL)
    return html.unescape(said_so)


MIXED = [
    record(n, entry=e, camera=('front', 'rear')[e % 2], question=f'{e}?', text=text, truth=truth)
    for e in (1, 2, 3)
    for n, (text, truth) in enumerate([('Yes', ('Yes',)), ('No', ('Yes',)), ('Yes', ())])
]  # fmt: skip


def test_a_browser_filters_the_list_and_shows_what_a_link_names(tmp_path: Path) -> None:
    script = """
      const form = page.getElementById('filter'), shown = () => [
        ...page.querySelectorAll('#answers li[id]')].filter((row) => row.offsetParent).length;
      const found = [form.hidden, shown()];
      const choose = (values) => {
        form.reset(); Object.assign(form.entry, {value: values.entry || ''});
        form.mark.value = values.mark || ''; form.camera.value = values.camera || '';
        form.dispatchEvent(new inside.Event('input')); found.push(shown());
      };
      choose({entry: '2'}); choose({mark: 'wrong'}); choose({entry: '1', mark: 'unscored'});
      choose({camera: '0'}); choose({entry: '2'});
      page.querySelector('a[data-entry="3"]').click(); found.push(shown(), form.entry.value);
      found.push(form.querySelector('output').textContent);
      return found;
    """
    found = json.loads(in_browser(page_of(MIXED), tmp_path, script, 1400))
    assert found == [False, 9, 3, 3, 1, 3, 3, 3, '3', '3 of 9 shown']


def test_on_a_phone_the_accuracy_is_in_view(tmp_path: Path) -> None:
    script = """
      const cells = [...page.querySelectorAll('.scores tr td:nth-child(3)')];
      return [inside.innerWidth, page.documentElement.scrollWidth, cells[0].textContent,
        Math.max(...cells.map((cell) => cell.getBoundingClientRect().right)),
        Math.max(...[...page.querySelectorAll('.track a')].map(
          (link) => link.getBoundingClientRect().right))];
    """
    width, scrolled, words, right, drawn = json.loads(
        in_browser(page_of(MIXED), tmp_path, script, 390)
    )
    assert width == 390 and scrolled <= 390 and words == '50.0 %'
    assert right <= 390 and drawn <= 390
