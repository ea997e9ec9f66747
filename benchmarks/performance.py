"""The report of `engines.py`: what was measured, in a table and a plot, and against the goals."""

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from peers.contender import CONTENDERS, FASTEST, OURS
from peers.workload import (
    ANSWER,
    BEFORE_PICTURE,
    QUESTION,
    QUESTIONS,
    THREADS,
    Outputs,
    Run,
    Times,
)

from ros2_llava_phi.engine.engine import Floats
from ros2_llava_phi.files.templates import templates_in
from ros2_llava_phi.model.config import ModelConfig

GIB = 2**30
EXPORT_MEMORY = 12 * GIB
CHEAPER, DEARER = 20, 2  # a second question, and eight, in times of the first
SWING = 1.2  # ratios below it may be chance
LOADED = 10.0  # seconds that count as some seconds
QUIET = 0.1  # share of the processor that others may use


@dataclass(frozen=True)
class Written:
    """A conversion: seconds, the largest resident set and the size of the files, in bytes."""

    seconds: float
    memory: int
    size: int


@dataclass
class Measurements:
    """
    All that a benchmark measured, by contender's name where there are several.

    machine, versions: for people. bandwidth: bytes a second, by round. missing: why who was not
    measured. streamed: bytes of weights that a token reads. distances: see distance.
    """

    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    bandwidth: list[float] = field(default_factory=list)
    written: dict[str, Written] = field(default_factory=dict)
    rounds: list[dict[str, Run]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    streamed: dict[str, int] = field(default_factory=dict)
    distances: dict[str, tuple[float | None, float]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps(asdict(self), indent=2) + '\n'

    @classmethod
    def from_json(cls, text: str) -> 'Measurements':
        """Return what to_json wrote."""
        stored = json.loads(text)
        stored['written'] = {name: Written(**each) for name, each in stored['written'].items()}
        stored['rounds'] = [
            {name: Run(**{**run, 'times': Times(**run['times'])}) for name, run in runs.items()}
            for runs in stored['rounds']
        ]
        return cls(**stored)

    @property
    def names(self) -> list[str]:
        """Return who was measured in every round, in the contenders' order."""
        names = [contender.name for contender in CONTENDERS]
        return [name for name in names if all(name in runs for runs in self.rounds)]

    def median(self, name: str, figure: Callable[[Run], float]) -> float:
        """Return the median over the rounds of a contender's figure."""
        return statistics.median(figure(runs[name]) for runs in self.rounds)

    def spread(self, name: str, figure: Callable[[Run], float], digits: int) -> str:
        """Return the median with, in brackets, the smallest and the largest of all rounds."""
        found = [figure(runs[name]) for runs in self.rounds]
        middle, least, most = (f'{f(found):.{digits}f}' for f in (statistics.median, min, max))
        return middle if least == most else f'{middle} ({least} to {most})'

    def ratio(self, name: str, figure: Callable[[Run], float], ours: str = OURS.name) -> float:
        """Return the median over the rounds of a contender's figure by one of ours."""
        return statistics.median(
            figure(runs[name]) / figure(_alike(runs[ours], runs[name])) for runs in self.rounds
        )


@dataclass(frozen=True)
class Goal:
    """What was aimed at, what came out, and whether that is it."""

    text: str
    found: str
    met: bool


def first_token(run: Run) -> float:
    """Return the seconds from picture and question to the first token."""
    return (run.times.encode or 0.0) + run.times.prefill


def next_token(run: Run) -> float:
    """Return the median seconds to the first token of a further question about the picture."""
    return statistics.median(run.times.further)


def decode(run: Run) -> float:
    """Return the tokens per second behind the first one."""
    return (ANSWER - 1) / run.times.answer


def eight_over_one(run: Run) -> float:
    """Return the time of all questions about a picture by the time of one."""
    return 1 + sum(run.times.further) / first_token(run)


def answers_alone(run: Run) -> float:
    """Return the seconds that the answers to all questions take, one after the other."""
    return QUESTIONS * (next_token(run) + run.times.answer)


def answers_together(run: Run) -> float:
    """Return the seconds that they take, asked together where that was measured."""
    return answers_alone(run) if run.times.together is None else run.times.together


def distance(found: Outputs, wanted: Outputs) -> tuple[float | None, float]:
    """Return the rms difference of picture and of logits, as shares of the rms wanted."""

    def share(one: Floats, other: Floats) -> float:
        return float(np.sqrt(((one - other) ** 2).mean() / (other**2).mean()))

    picture = None
    if found.picture is not None and wanted.picture is not None:
        picture = share(found.picture, wanted.picture)
    return picture, share(found.logits, wanted.logits)


def goals(result: Measurements) -> list[Goal]:
    """
    Hold us to what the project aims at, and tell the figures of all our precisions.

    Who is ahead is judged by the one that is fast at both, the rest by int8, the default.
    """
    ours = OURS.name
    own = [name for name in result.names if _is_ours(name)]
    peers = [name for name in result.names if not _is_ours(name)]
    found = []
    for what, figure, inverse in (
        ('decoding is ahead of every peer', decode, True),
        ('the first token comes before that of every peer', first_token, False),
    ):
        ahead = {
            name: [result.ratio(peer, figure, name) ** (-1 if inverse else 1) for peer in peers]
            for name in own
        }
        if peers:
            closest = {name: peers[int(np.argmin(ratios))] for name, ratios in ahead.items()}
            texts = [
                f'{name} {min(ahead[name]):.2f} times as fast as {closest[name]}' for name in own
            ]
            judged = FASTEST.name if FASTEST.name in own else ours
            lead, text = min(ahead[judged]), ', '.join(texts)
            if 1 < lead < SWING:
                text += f'; the lead of {judged} is within what the machine swings by'
            found.append(Goal(f'{what}, in {judged}', text, lead > 1))
    cheaper = result.median(ours, lambda run: first_token(run) / next_token(run))
    eight = result.median(ours, eight_over_one)
    load = result.median(ours, lambda run: run.load)
    found += [
        Goal(
            f'the first token of a second question is at least {CHEAPER} times cheaper',
            f'{cheaper:.1f} times',
            cheaper >= CHEAPER,
        ),
        Goal(
            f'{QUESTIONS} questions take less than {DEARER} times the time of one',
            f'{eight:.2f} times',
            eight < DEARER,
        ),
        Goal('the model is loaded in seconds', f'{load:.1f} s', load < LOADED),
    ]
    exports = {name: each for name, each in result.written.items() if _is_ours(name)}
    if exports:
        most = max(each.memory for each in exports.values())
        text = f'export takes less than {EXPORT_MEMORY // GIB} GiB of memory'
        found.append(Goal(text, f'{most / GIB:.1f} GiB', most < EXPORT_MEMORY))
    return found


def rows(result: Measurements) -> list[dict[str, str]]:
    """Return the table: the median of each figure, by column and contender."""
    ceiling = max(result.bandwidth)
    table = []
    for name in result.names:
        speed = result.median(name, decode)
        picture = result.rounds[0][name].times.encode is not None
        encode = result.median(name, lambda run: run.times.encode or 0.0)
        table.append(
            {
                'Library': name,
                'Encode [s]': f'{encode:.2f}' if picture else '-',
                'First token [s]': result.spread(name, first_token, 1) + ('' if picture else ' *'),
                'Second question [s]': result.spread(name, next_token, 2),
                'Decode [tok/s]': result.spread(name, decode, 1),
                f'{QUESTIONS} questions / 1': f'{result.median(name, eight_over_one):.2f}',
                f'{QUESTIONS} answers [s]': f'{result.median(name, answers_together):.0f}',
                'Load [s]': f'{result.median(name, lambda run: run.load):.1f}',
                'Memory [GiB]': f'{result.median(name, lambda run: run.memory) / GIB:.1f}',
                'Bandwidth': f'{speed * result.streamed[name] / ceiling:.0%}',
            }
        )
    return table


def ratios(result: Measurements) -> list[dict[str, str]]:
    """Return how many times as fast as each of the others our int8 export is."""
    return [
        {
            'Library': name,
            'First token': f'{result.ratio(name, first_token):.2f}',
            'Second question': f'{result.ratio(name, next_token):.2f}',
            'Decode': f'{1 / result.ratio(name, decode):.2f}',
            f'{QUESTIONS} answers': f'{result.ratio(name, answers_together):.2f}',
        }
        for name in result.names
        if name != OURS.name
    ]


def markdown(table: Sequence[dict[str, str]]) -> str:
    """Return a table in Markdown; the first column to the left, the others to the right."""
    lines = [list(table[0]), ['---', *['---:'] * (len(table[0]) - 1)]]
    lines += [list(row.values()) for row in table]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def write_report(result: Measurements, config: ModelConfig, folder: Path) -> None:
    """Write performance.md and its plot into a folder."""
    if OURS.name not in result.names:
        raise RuntimeError(f'{OURS.name} was not measured: {result.missing.get(OURS.name)}')
    templates = templates_in(Path(__file__).parent)
    about = {**result.machine, **result.versions}
    prefix = BEFORE_PICTURE + config.image_tokens
    text = templates.get_template('performance.md.j2').render(
        result=result,
        machine='; '.join(f'{name} {value}' for name, value in about.items() if value),
        config=config,
        whole=config.text.layers == ModelConfig().text.layers,
        threads=THREADS,
        before=BEFORE_PICTURE,
        prefix=prefix,
        prompt=prefix + QUESTION,
        question=QUESTION,
        answer=ANSWER,
        questions=QUESTIONS,
        goals=goals(result),
        rows=markdown(rows(result)),
        ratios=markdown(ratios(result)),
        conversions=markdown(_conversions(result)),
        distances=markdown(_distances(result)) if result.distances else '',
        busiest=max(run.others for runs in result.rounds for run in runs.values()),
        quiet=QUIET,
        gb=1e9,
    )
    (folder / 'performance.md').write_text(text)
    plot(result, folder / 'performance.svg')


def plot(result: Measurements, file: Path) -> None:
    """Draw the three times that people wait for, a bar a contender."""
    import matplotlib

    matplotlib.use('svg')
    matplotlib.rcParams.update({'svg.hashsalt': 'llava_phi', 'font.size': 9})
    from matplotlib import pyplot

    names = result.names[::-1]
    colours = ['#c44e52' if _is_ours(name) else '#8c96a8' for name in names]
    seen = result.rounds[0]
    labels = [name if seen[name].times.encode is not None else f'{name} *' for name in names]
    panels: dict[str, Callable[[Run], float]] = {
        'First token [s], shorter is better': first_token,
        'Second question [s], shorter is better': next_token,
        'Decode [tok/s], longer is better': decode,
    }
    drawing, axes = pyplot.subplots(1, len(panels), figsize=(10, 2.8), sharey=True)
    for axis, (title, value) in zip(axes, panels.items(), strict=True):
        bars = axis.barh(labels, [result.median(name, value) for name in names], color=colours)
        axis.bar_label(bars, fmt='%.2f' if value is next_token else '%.1f', padding=2)
        axis.set_title(title, fontsize=9)
        axis.margins(x=0.15)
        axis.spines[['top', 'right']].set_visible(False)
    drawing.tight_layout()
    drawing.savefig(file, metadata={'Date': None})


def _alike(ours: Run, theirs: Run) -> Run:
    """Return our run, without the picture where theirs is without it."""
    if theirs.times.encode is not None:
        return ours
    return replace(ours, times=replace(ours.times, encode=None))


def _is_ours(name: str) -> bool:
    return any(contender.ours for contender in CONTENDERS if contender.name == name)


def _conversions(result: Measurements) -> list[dict[str, str]]:
    return [
        {
            'Library': name,
            'Time [s]': f'{each.seconds:.0f}',
            'Memory [GiB]': f'{each.memory / GIB:.1f}',
            'Files [GB]': f'{each.size / 1e9:.2f}',
        }
        for name, each in result.written.items()
        if each.size
    ]


def _distances(result: Measurements) -> list[dict[str, str]]:
    return [
        {
            'Library': name,
            'Picture': '-' if picture is None else f'{picture:.1%}',
            'Logits': f'{logits:.1%}',
        }
        for name, (picture, logits) in result.distances.items()
    ]
