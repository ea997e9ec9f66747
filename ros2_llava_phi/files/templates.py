"""Templates of pages and tables, which fail on a name that they are not given."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from ros2_llava_phi.errors import counted


def templates_in(folder: Path) -> Environment:
    """
    Return the templates in a folder; those of pages, .html.j2, escape what is filled in.

    Their filter `counted` puts a number before its noun.
    """
    templates = Environment(
        loader=FileSystemLoader(folder),
        autoescape=select_autoescape(('html.j2',)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters['counted'] = counted
    return templates
