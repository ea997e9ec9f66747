"""What a training sample is, whatever format it was read from."""

from dataclasses import dataclass
from pathlib import Path

from ros2_llava_phi.model.prompt import Turn


@dataclass(frozen=True)
class Conversation:
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


Sample = Conversation | Dropped
