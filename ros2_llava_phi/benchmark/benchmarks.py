"""All benchmarks by name, and a table of one's own results beside published ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ros2_llava_phi.files.templates import templates_in

from .benchmark import ScoresFile
from .drivelm_scorer import DRIVELM
from .mmbench import MMBENCH
from .mme import MME
from .mmvet import MMVET
from .nuscenes_qa_scorer import NUSCENESQA
from .openeqa_scorer import OPENEQA
from .pope import POPE
from .scienceqa import SCIENCEQA
from .textvqa import TEXTVQA
from .vizwiz import VIZWIZ
from .vqav2 import VQAV2

# In the order of the paper's table, and then the drivers' and robots' own.
BENCHMARKS = {
    each.name: each
    for each in (
        VQAV2,
        VIZWIZ,
        SCIENCEQA,
        TEXTVQA,
        POPE,
        MME,
        MMBENCH,
        MMVET,
        DRIVELM,
        NUSCENESQA,
        OPENEQA,
    )
}
# Each model's paper or repository has them, by the benchmarks' names, in per cent; MME is the
# score for perception.
PUBLISHED = {
    'LLaVA-Phi (Phi-2 2.7B)': {
        'vqav2': 71.4, 'vizwiz': 35.9, 'scienceqa': 68.4, 'textvqa': 48.6, 'pope': 85.0,
        'mme': 1335.1, 'mmbench': 59.8, 'mmvet': 28.9,
    },
    'LLaVA-1.5 (Vicuna-7B)': {
        'vqav2': 78.5, 'vizwiz': 50.0, 'scienceqa': 66.8, 'textvqa': 58.2, 'pope': 85.9,
        'mme': 1510.7, 'mmbench': 64.3, 'mmvet': 30.5,
    },
    'LLaVA-1.5 (Vicuna-13B)': {
        'vqav2': 80.0, 'vizwiz': 53.6, 'scienceqa': 71.6, 'textvqa': 61.3, 'pope': 85.9,
        'mme': 1531.3, 'mmbench': 67.7, 'mmvet': 35.4,
    },
    'MobileVLM 3B (LLaMA 2.7B)': {
        'scienceqa': 61.0, 'textvqa': 47.5, 'pope': 84.9, 'mme': 1288.9, 'mmbench': 59.6,
    },
    'TinyLLaVA 3.1B (SigLIP, Phi-2)': {
        'vqav2': 80.1, 'scienceqa': 73.0, 'textvqa': 60.3, 'pope': 87.2, 'mme': 1466.4,
        'mmvet': 37.5,
    },
    'Mipha 3B (SigLIP, Phi-2)': {
        'vqav2': 81.3, 'scienceqa': 70.9, 'textvqa': 56.6, 'pope': 86.7, 'mme': 1488.9,
        'mmbench': 69.7, 'mmvet': 32.1,
    },
}  # fmt: skip
NOT_MEASURED = '-'


@dataclass(frozen=True)
class Row:
    """A model and its figures, by column; own ones were measured, others published."""

    model: str
    figures: tuple[str, ...]
    own: bool


@dataclass(frozen=True)
class ResultTable:
    """Columns, rows and what must be said about the figures."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def result_table(results: Sequence[ScoresFile]) -> ResultTable:
    """Return a table of results, a row for each model, and below them the published rows."""
    measured: dict[str, dict[str, str]] = {}
    notes = []
    for each in results:
        title = BENCHMARKS[each.benchmark].title if each.benchmark in BENCHMARKS else None
        cells = measured.setdefault(each.model, {})
        if each.headline is not None:
            cells[each.benchmark] = f'{each.headline.value:.1f}'
        notes += [f'{each.model}, {title or each.benchmark}: {note}.' for note in each.notes]
    names = {name for cells in measured.values() for name in cells}
    names |= {name for cells in PUBLISHED.values() for name in cells}
    columns = [name for name in BENCHMARKS if name in names]
    published = {
        model: {name: f'{figure:.1f}' for name, figure in cells.items()}
        for model, cells in PUBLISHED.items()
    }
    return ResultTable(
        tuple(BENCHMARKS[name].title for name in columns),
        tuple(
            Row(model, tuple(cells.get(name, NOT_MEASURED) for name in columns), rows is measured)
            for rows in (measured, published)
            for model, cells in rows.items()
        ),
        tuple(notes),
    )


def as_markdown(table: ResultTable) -> str:
    """Return a table as Markdown; own rows in bold."""
    lines = [
        ['Model', *table.columns],
        ['---', *('---:' for _ in table.columns)],
        *(
            [f'**{_escaped(row.model)}**' if row.own else _escaped(row.model), *row.figures]
            for row in table.rows
        ),
    ]
    text = ''.join(f'| {" | ".join(line)} |\n' for line in lines)
    notes = ''.join(f'- {_escaped(note)}\n' for note in table.notes)
    return f'{text}\n{notes}' if notes else text


def as_html(table: ResultTable) -> str:
    """Return a table as a page that needs nothing beside itself."""
    templates = templates_in(Path(__file__).parent)
    return templates.get_template('table.html.j2').render(table=table)


def _escaped(text: str) -> str:
    return ' '.join(text.split()).replace('\\', '\\\\').replace('|', '\\|').replace('*', '\\*')
