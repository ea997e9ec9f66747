"""One's own results beside published ones, as Markdown and as a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ros2_llava_phi.files.templates import templates_in

from .benchmarks import BENCHMARKS
from .published import PUBLISHED
from .scores import ScoresFile

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
