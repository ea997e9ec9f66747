"""Questions about a scene, such that whoever cannot see the picture can only guess.

Facts come in groups of questions that are alike but for the picture. Within a group every answer
comes out equally often: an answer is drawn first, the rarer in the world the likelier, and a scene
that has no such fact is not asked. How rare an answer is, is counted on scenes of a fixed seed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np

from .captions import caption
from .facts import Fact, choice
from .grammar import word
from .render import DOMAINS, sample_scene
from .road_facts import road_facts
from .table_facts import table_facts
from .wording import FRONTS, WORDINGS
from .world import Road, Scene

MEASURED = 1200  # scenes a domain
RAREST = 0.012  # an answer that fewer scenes have is not asked for
TRIES = 60  # draws a wanted question
WEIGHTS = {
    'presence': 4.0,
    'count': 50.0,
    'colour': 2.0,
    'action': 5.0,
    'what ahead': 2.0,
    'held shape': 2.0,
    'held colour': 2.0,
    'where': 2.0,
    'shape': 2.0,
    'domain': 0.2,
    'describe': 0.3,
    'left of': 0.6,
    'right of': 0.6,
    'side': 0.6,
}
OPEN = ('leftmost ', 'rightmost ')  # groups whose answers are as many as there are things
FRONTED = 0.25  # share of the training questions that begin with one of FRONTS
AS_TEXT = {'choice': 0.3, 'yes_no': 0.15, 'number': 0.15}  # shares that are asked as free text


@dataclass(frozen=True)
class Example:
    """A question with its answer. `kind` is 'text', 'yes_no', 'choice' or 'number'.

    `choices` are the allowed answers of a choice, in the order in which they are offered.
    """

    question: str
    kind: str
    choices: tuple[str, ...]
    answer: str
    topic: str


Facts = dict[str, dict[str, dict[str, list[Fact]]]]  # topic, group, answer


def scene_facts(scene: Scene) -> Facts:
    """All facts about a scene by topic, group and answer."""
    facts: Facts = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for fact in _all_facts(scene):
        facts[fact.topic][fact.group][fact.answer].append(fact)
    return facts


def _all_facts(scene: Scene) -> Iterator[Fact]:
    ground = scene.ground
    own = road_facts(scene, ground) if isinstance(ground, Road) else table_facts(scene)
    return chain(own, (choice('domain', '', scene.domain, DOMAINS),))


Odds = dict[str, dict[str, float]]  # group, answer: the chance that the answer is drawn


@lru_cache(maxsize=1)
def _odds() -> Odds:
    """For each group the chance to draw each answer: all are then asked equally often.

    A scene of few facts gets its questions by more draws than one of many, and the more so the
    rarer its answers are drawn; so the odds are found by repetition.
    """
    rng = np.random.default_rng(2024)
    scenes = [_shares(sample_scene(rng, domain)) for domain in DOMAINS for _ in range(MEASURED)]
    odds: Odds = {}
    for _ in range(4):
        odds = _adjusted(scenes, odds)
    return odds


def _shares(scene: Scene) -> list[tuple[str, float, list[str]]]:
    """Return the groups of a scene, each with its chance to be drawn and its possible answers."""
    facts = scene_facts(scene)
    total = sum(_weight(topic) for topic in facts)
    return [
        (group, _weight(topic) / total / len(groups), list(answers))
        for topic, groups in facts.items()
        for group, answers in groups.items()
    ]


def _adjusted(scenes: list[list[tuple[str, float, list[str]]]], odds: Odds) -> Odds:
    seen: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    often: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for scene in scenes:
        success = sum(
            share * sum(odds[group].get(answer, 0.0) for answer in answers) if odds else share
            for group, share, answers in scene
        )
        for group, share, answers in scene:
            for answer in answers:
                seen[group][answer] += share / success
                often[group][answer] += 1
    adjusted = {}
    for group, counts in seen.items():
        common = [a for a in sorted(counts) if often[group][a] >= RAREST * MEASURED]
        if len(common) < 2:
            common = []  # whoever cannot see the picture would know the answer
        total = sum(1 / counts[answer] for answer in common)
        adjusted[group] = {answer: 1 / counts[answer] / total for answer in common}
    return adjusted


def questions(scene: Scene, rng: np.random.Generator, split: str, count: int) -> list[Example]:
    """At most `count` different questions about the scene, worded as in 'train' or 'heldout'."""
    facts = scene_facts(scene)
    topics = [*facts, 'describe']
    shares = np.cumsum([_weight(topic) for topic in topics])
    found: dict[tuple[str, str], Example] = {}
    for _ in range(TRIES * count):
        if len(found) == count:
            break
        topic = topics[int(np.searchsorted(shares, rng.random() * shares[-1], side='right'))]
        if topic == 'describe':
            example = _describe(scene, rng, split)
        else:
            fact = _draw(facts[topic], rng)
            if fact is None:
                continue
            example = _ask(fact, rng, split)
        found.setdefault((example.question.lower().rstrip('?.'), example.kind), example)
    return list(found.values())


def _weight(topic: str) -> float:
    return WEIGHTS.get(topic, 1.0)


def _draw(groups: dict[str, dict[str, list[Fact]]], rng: np.random.Generator) -> Fact | None:
    names = list(groups)
    group = names[int(rng.integers(len(names)))]
    draw = rng.random()
    if group in OPEN:
        facts = next(iter(groups[group].values()))
        return facts[int(rng.integers(len(facts)))]
    for answer, share in _odds().get(group, {}).items():
        draw -= share
        if draw < 0:
            possible = groups[group].get(answer)
            return possible[int(rng.integers(len(possible)))] if possible else None
    return None


def _ask(fact: Fact, rng: np.random.Generator, split: str) -> Example:
    kind = 'text' if rng.random() < AS_TEXT[fact.kind] else fact.kind
    choices = _offer(fact, rng) if kind == 'choice' else ()
    question = _phrase(fact.topic, fact.words, rng, split)
    return Example(question, kind, choices, fact.answer, fact.topic)


def _offer(fact: Fact, rng: np.random.Generator) -> tuple[str, ...]:
    """Return the answer among two to four of the possible ones, in random order."""
    others = [option for option in fact.choices if option != fact.answer]
    rng.shuffle(others)
    most = min(len(others), 3)
    offered = [fact.answer, *others[: int(rng.integers(min(2, most), most + 1))]]
    rng.shuffle(offered)
    return tuple(offered)


def _describe(scene: Scene, rng: np.random.Generator, split: str) -> Example:
    answer = caption(scene, rng, split)
    return Example(_phrase('describe', {}, rng, split), 'text', (), answer, 'describe')


def _phrase(topic: str, words: dict[str, str], rng: np.random.Generator, split: str) -> str:
    templates = WORDINGS[topic].of(split)
    text = word(templates[int(rng.integers(len(templates)))], words, rng)
    if split == 'train' and rng.random() < FRONTED:
        text = FRONTS[int(rng.integers(len(FRONTS)))] + text[0].lower() + text[1:]
    first = text[0].upper() if rng.random() < 0.85 else text[0].lower()
    text = first + text[1:]
    return text if rng.random() < 0.88 else text.rstrip('?.')
