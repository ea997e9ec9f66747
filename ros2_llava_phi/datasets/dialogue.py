"""What a training sample is, whatever format it was read from."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ros2_llava_phi.assistant.answer import YES_NO
from ros2_llava_phi.model.prompt import Turn

from .records import Content, RecordError, Records, converted

CHOICES = re.compile(r'Answer with one of: (.+)\.\s*$')


@dataclass(frozen=True)
class Dialogue:
    """
    Pictures, and what is asked and answered about them.

    source: the data set's name. record: where it stands in there, for messages.
    scene: conversations of one scene go to training or to validation together.
    pictures: files in the order of their places in the requests; not opened yet.
    turns: at least one, all of them answered.
    kind: the type of question, by which validation is told apart; empty if unknown.
    """

    source: str
    record: str
    scene: str
    pictures: tuple[Path, ...]
    turns: tuple[Turn, ...]
    kind: str = ''


@dataclass(frozen=True)
class Dropped:
    """
    A record that is no sample.

    reason: names the field and says what is wrong with it, in the same words for every record
    with this fault. detail: what is special about this one, such as a file's name.
    """

    source: str
    record: str
    reason: str
    detail: str = ''


Sample = Dialogue | Dropped


def samples(
    source: str, records: Records[Content], convert: Callable[[str, Content], Dialogue]
) -> Iterator[Sample]:
    """
    Yield a conversation for each record, or what was wrong with it.

    convert: makes a conversation of a place and a record, or raises RecordError or pydantic's
    ValidationError.
    """
    for place, made in converted(records, convert):
        if isinstance(made, RecordError):
            yield Dropped(source, place, made.reason, made.detail)
        else:
            yield made


def choices_in(turn: Turn) -> tuple[str, ...]:
    """Return the choices that a request ends with, worded as the assistant does; else nothing."""
    words = turn.request[-1] if turn.request else ''
    match = CHOICES.search(words) if isinstance(words, str) else None
    return tuple(match[1].split(', ')) if match else ()


def plain(answer: str) -> str:
    """Return an answer without what makes no difference: case, blanks around it, a final point."""
    return answer.strip().rstrip('.').lower()


def says_yes_or_no(answer: str) -> bool:
    """Return whether an answer is nothing but yes or no."""
    return plain(answer) in map(plain, YES_NO)
