"""A message as a recording holds it, and how its type is defined there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RawMessage:
    """
    One message, still serialised.

    recorded_ns: when it was recorded.
    cdr: as it went over the wire.
    """

    topic: str
    type: str
    recorded_ns: int
    cdr: bytes


@dataclass(frozen=True)
class Definition:
    """
    What a recording says about a message type.

    encoding: 'ros2msg', 'ros2idl', or empty where it says nothing.
    """

    encoding: str = ''
    text: str = ''


@dataclass(frozen=True)
class Topic:
    """A topic's message type, and how that is defined."""

    type: str
    definition: Definition = Definition()
