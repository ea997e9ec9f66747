"""A path to a field of a message: `data`, `objects[0].label`, `objects[#]`, `objects[*].label`."""

import re
from typing import Any

from ros2_llava_phi.errors import QuestionsFileError

STEP = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)((?:\[(?:\d+|\*|#)\])*)')
INDEX = re.compile(r'\[(\d+|\*|#)\]')


def parse_field_path(path: str) -> tuple[str, ...]:
    """Return the steps of a path: names, numbers, `*` for each and `#` for how many."""
    steps: list[str] = []
    for part in path.split('.'):
        match = STEP.fullmatch(part)
        if match is None:
            raise QuestionsFileError(
                f'{path!r} is no path to a field; it looks like status.level or objects[0].label'
            )
        steps += [match[1], *INDEX.findall(match[2])]
    return tuple(steps)


def read_field(message: Any, path: str) -> list[Any]:
    """
    Return the values that a path leads to: one, or any number where it has `[*]`.

    An index beyond the end leads to no value. Raises QuestionsFileError for a field that is not
    there.
    """
    values = [message]
    for step in parse_field_path(path):
        values = [after for value in values for after in _follow(value, step, path)]
    return values


def _follow(value: Any, step: str, path: str) -> list[Any]:
    if step in '*#' or step.isdigit():
        if isinstance(value, str) or not hasattr(value, '__len__'):
            raise QuestionsFileError(f'{path!r} takes an element of what is no list')
        if step == '#':
            return [len(value)]
        return list(value) if step == '*' else list(value[int(step) : int(step) + 1])
    try:
        return [getattr(value, step)]
    except AttributeError:
        raise QuestionsFileError(
            f'{path!r} leads nowhere: {_type_name(value)} has no field {step}; '
            f'it has {", ".join(_fields(value)) or "none"}'
        ) from None


def _fields(value: Any) -> list[str]:
    return [name for name in getattr(value, '__dataclass_fields__', ()) if name[0] != '_']


def _type_name(value: Any) -> str:
    return str(getattr(value, '__msgtype__', type(value).__name__))
