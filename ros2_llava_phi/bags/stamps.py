"""Times and durations: those of ROS messages, whichever library made them, and nanoseconds."""

from collections.abc import Callable
from typing import Any, TypeVar

Message = TypeVar('Message')

NS = 1_000_000_000
# The year 2113: times beyond, in either direction, could not be subtracted in 64 bits.
FURTHEST_NS = 2**62 - 2**56


def in_ns(seconds: float) -> int:
    """Return seconds as nanoseconds."""
    return round(seconds * NS)


def to_ns(message: Any) -> int:
    """Return a Time or Duration message in nanoseconds."""
    return int(message.sec) * NS + int(message.nanosec)


def to_seconds(message: Any) -> float:
    """Return a Time or Duration message in seconds."""
    return to_ns(message) / NS


def from_ns(kind: Callable[..., Message], nanoseconds: int) -> Message:
    """Return nanoseconds as a message of that kind, a class of Time or Duration messages."""
    seconds, rest = divmod(nanoseconds, NS)
    return kind(sec=seconds, nanosec=rest)
