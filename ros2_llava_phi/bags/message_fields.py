"""
The fields of any message in a recording, by the definitions that the recording itself carries.

A path leads to a field: `data`, `objects[0].label`, `objects[#]`, `objects[*].label`.
"""

import re
from contextlib import suppress
from functools import cache, lru_cache
from typing import Any

from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from ros2_llava_phi.errors import BagError, QuestionsFileError, described

from .bag import CDR, COMPRESSED_VIDEO, FFMPEG_PACKET, Channel, Definition, RawMessage

# What recordings call the interface definition language.
IDL = ('ros2idl', 'omgidl')

# Types that ROS 2 itself does not have, for recordings that do not define them.
DEFINITIONS = {
    COMPRESSED_VIDEO: Definition(
        'ros2msg',
        'builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format\n',
    ),
    FFMPEG_PACKET: Definition(
        'ros2msg',
        'std_msgs/Header header\nint32 width\nint32 height\nstring encoding\nuint64 pts\n'
        'uint8 flags\nbool is_bigendian\nuint8[] data\n',
    ),
}
STEP = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)((?:\[(?:\d+|\*|#)\])*)')
INDEX = re.compile(r'\[(\d+|\*|#)\]')


class MessageTypes:
    """
    The message types of a recording, as each channel defines its own.

    Distributions differ in what a type of one name has, so that the recording's word comes first;
    what it leaves out is as in ROS 2 Jazzy, and so is a message that does not fit that word.
    """

    def __init__(self) -> None:
        """Know no type yet."""
        self._stores: dict[Channel, Typestore] = {}

    def learn(self, channel: Channel) -> None:
        """Learn the type of a channel; raises BagError for one that nobody defines."""
        if channel.encoding != CDR:
            raise BagError(
                f'{channel} is not serialised in {CDR}, as ROS 2 does: it cannot be read'
            )
        reason = 'the recording does not define it; record it with MCAP, or from ROS 2 Iron on'
        definition = channel.definition
        if not definition.text:
            definition = DEFINITIONS.get(channel.type, definition)
        if definition.text:
            try:
                self._stores[channel] = _defined(channel.type, definition)
                return
            except Exception as error:
                told = ' '.join(str(error).split())
                reason = f'its definition in the recording cannot be read: {told}'
        if channel.type not in _jazzy().types:
            raise BagError(f'{channel.type}, the type of {channel.topic}, is not known: {reason}')
        self._stores[channel] = _jazzy()

    def deserialise(self, message: RawMessage) -> Any:
        """
        Return a message of a channel that was learnt, with its fields.

        Raises BagError if its bytes are damaged.
        """
        try:
            return self._stores[message.channel].deserialize_cdr(message.cdr, message.type)
        except Exception as error:
            if message.type in _jazzy().types:
                # Converters may leave the definition of what they converted from.
                with suppress(Exception):
                    return _jazzy().deserialize_cdr(message.cdr, message.type)
            raise BagError(f'a message on {message.topic} is damaged: {error}') from error


@cache
def _jazzy() -> Typestore:
    return get_typestore(Stores.ROS2_JAZZY)


@lru_cache(maxsize=64)
def _defined(message_type: str, definition: Definition) -> Typestore:
    """Return the types of a definition; raises whatever one that is damaged leads to."""
    if definition.encoding in IDL:
        types = get_types_from_idl(definition.text)
    else:
        types = get_types_from_msg(definition.text, message_type)
    for defined in (types, _jazzy().fielddefs | types):
        store = get_typestore(Stores.EMPTY)
        store.register(defined)
        with suppress(KeyError):
            store.get_msgdef(message_type)
            return store
        # It only names some of its types, as IDL may: those are as known.
    raise KeyError(message_type)


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
    there, and for a path that ends at a list or at a message.
    """
    values = [message]
    for step in parse_field_path(path):
        values = [after for value in values for after in _follow(value, step, path)]
    for value in values:
        if _fields(value):
            raise QuestionsFileError(
                f'{path!r} leads to {_type_name(value)}, which is no value; it has the fields '
                f'{", ".join(_fields(value))}'
            )
        if _is_list(value):
            raise QuestionsFileError(
                f'{path!r} leads to a list; write {path}[0] for its first, {path}[*] for any of '
                f'them, or {path}[#] for how many there are'
            )
    return values


def _follow(value: Any, step: str, path: str) -> list[Any]:
    if step in '*#' or step.isdigit():
        if not _is_list(value):
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


def _is_list(value: Any) -> bool:
    return hasattr(value, '__len__') and not isinstance(value, str)


def _fields(value: Any) -> list[str]:
    return [name for name in getattr(value, '__dataclass_fields__', ()) if name[0] != '_']


def _type_name(value: Any) -> str:
    return str(getattr(value, '__msgtype__', type(value).__name__))
