"""What is true of a scene, as facts that a question can be made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ros2_llava_phi.assistant.answer import YES_NO

from .world import Scene, Thing, middle

YES, NO = YES_NO
MARGIN = 0.1  # of the picture's side; things closer than this are neither left nor right
MOST = 4  # the largest number that is asked for


@dataclass(frozen=True)
class Fact:
    """One true answer. `topic` names the wording, `words` fills it; `choices` is all it could be.

    Facts of one `group` are the same question to somebody who cannot see, so that its answers must
    come out equally often.
    """

    topic: str
    group: str
    kind: str
    answer: str
    words: dict[str, str] = field(default_factory=dict)
    choices: tuple[str, ...] = ()


def yes_no(topic: str, group: str, truth: bool, **words: str) -> Fact:
    """Return a fact answered by Yes or No."""
    return Fact(topic, f'{topic} {group}', 'yes_no', YES if truth else NO, words)


def number(topic: str, group: str, count: int, **words: str) -> Iterator[Fact]:
    """Return a fact answered by a digit; nothing where there are too many to count."""
    if count <= MOST:
        yield Fact(topic, f'{topic} {group}', 'number', str(count), words)


def choice(topic: str, group: str, answer: str, choices: tuple[str, ...], **words: str) -> Fact:
    """Return a fact answered by one of several words."""
    return Fact(topic, f'{topic} {group}', 'choice', answer, words, choices)


def phrase(kind: str, colour: str = '', place: str = '') -> str:
    """Return a filler for a template: what to look for, as the wording spells it out later."""
    return f'{colour}|{kind}|{place}'


def named(things: tuple[Thing, ...]) -> list[tuple[Thing, str]]:
    """Return the things that their kind, or colour and kind, singles out, with that phrase."""
    found = []
    for thing in things:
        alike = [other for other in things if other.kind == thing.kind]
        if len(alike) == 1:
            found.append((thing, phrase(thing.kind)))
        if thing.colour and sum(other.colour == thing.colour for other in alike) == 1:
            found.append((thing, phrase(thing.kind, thing.colour)))
    return found


def beside(scene: Scene, a: Thing, b: Thing) -> str:
    """'left' or 'right' as a lies clearly beside b in the picture, else ''."""
    gap = middle(scene.camera, a)[0] - middle(scene.camera, b)[0]
    return '' if abs(gap) < MARGIN else 'left' if gap < 0 else 'right'
