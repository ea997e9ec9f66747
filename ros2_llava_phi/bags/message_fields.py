"""
The fields of any message in a recording, by the definitions that the recording itself carries.

A path leads to a field: `data`, `objects[0].label`, `objects[#]`, `objects[*].label`.
"""

import re
from collections.abc import Mapping
from typing import Any

from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

from ros2_llava_phi.errors import BagError, QuestionsFileError, described

from .bag import RawMessage, Topic

STEP = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)((?:\[(?:\d+|\*|#)\])*)')
INDEX = re.compile(r'\[(\d+|\*|#)\]')


class MessageTypes:
    """The message types of some topics; those of the distribution where nothing else is said."""

    def __init__(self, topics: Mapping[str, Topic]) -> None:
        """Learn the types of these topics; raises BagError for one that nobody defines."""
        self._store = get_typestore(Stores.ROS2_JAZZY)
        for name, topic in topics.items():
            if topic.definition.text and topic.type not in self._store.types:
                self._register(name, topic)
            if topic.type not in self._store.types:
                raise BagError(
                    f'the recording does not define {topic.type}, the type of {name}; '
                    'record it with MCAP, or with SQLite from ROS 2 Iron on'
                )

    def deserialise(self, message: RawMessage) -> Any:
        """Return a message with its fields; raises BagError if its bytes are damaged."""
        try:
            return self._store.deserialize_cdr(message.cdr, message.type)
        except Exception as error:
            raise BagError(f'a message on {message.topic} is damaged: {error}') from error

    def _register(self, name: str, topic: Topic) -> None:
        text = topic.definition.text
        try:
            if topic.definition.encoding == 'ros2idl':
                types = get_types_from_idl(text)
            else:
                types = get_types_from_msg(text, topic.type)
            new = {each: what for each, what in types.items() if each not in self._store.types}
            self._store.register(new)
        except Exception as error:
            raise BagError(
                f'the definition of {topic.type}, the type of {name}, cannot be read: {error}'
            ) from error


def parse_field_path(path: str) -> tuple[str, ...]:
    """Return the steps of a path: names, numbers, `*` for each and `#` for how many."""
    steps: list[str] = []
    for part in path.split('.'):
        match = STEP.fullmatch(part)
        if match is None:
            raise QuestionsFileError(
                f'{described(path)} is no path to a field; it looks like status.level or '
                'objects[0].label'
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
