"""Deserialise any message of a recording, by the definitions that the recording itself carries."""

from collections.abc import Mapping
from typing import Any

from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

from ros2_llava_phi.errors import BagError

from .raw_message import RawMessage, Topic


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
