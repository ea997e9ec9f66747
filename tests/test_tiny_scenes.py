"""The generated world: what is asked about is visible, and the answers are true and balanced."""

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_llava_phi.assistant.answer import CANNOT_TELL
from tiny.scenes import (
    ATTRIBUTES,
    DOMAINS,
    Example,
    Rendering,
    Scene,
    blank_questions,
    blank_targets,
    blank_view,
    caption,
    patch_targets,
    questions,
    render,
    sample_scene,
    sample_view,
)
from tiny.scenes.facts import MARGIN, NO, YES, named
from tiny.scenes.grammar import FILLER, wordings
from tiny.scenes.patches import LEAST, thing_attributes
from tiny.scenes.questions import _odds, scene_facts
from tiny.scenes.render import LEAST_AREA, draw
from tiny.scenes.table_facts import DEPTH_MARGIN
from tiny.scenes.wording import FRONTS, WORDINGS
from tiny.scenes.world import FIRST_SURFACE, SURFACES, Road, middle

SIDE = 144


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope='module')
def views() -> list[tuple[Scene, Rendering]]:
    return [sample_view(rng(1, i), DOMAINS[i % 2]) for i in range(80)]


@pytest.fixture(scope='module')
def asked() -> list[tuple[Scene, list[Example]]]:
    """Many scenes with their questions; no pictures, which the questions do not depend on."""
    scenes = [sample_scene(rng(2, i), DOMAINS[i % 2]) for i in range(700)]
    return [(scene, questions(scene, rng(3, i), 'train', 16)) for i, scene in enumerate(scenes)]


@pytest.mark.slow
@pytest.mark.parametrize('domain', DOMAINS)
def test_the_same_seed_gives_the_same_everything(domain: str) -> None:
    def make(seed: int) -> tuple[Scene, bytes, bytes, list[Example], str]:
        generator = rng(seed)
        scene, view = sample_view(generator, domain)
        found = questions(scene, generator, 'train', 8)
        text = caption(scene, generator, 'train')
        return scene, view.image.tobytes(), view.labels.tobytes(), found, text

    assert make(5) == make(5)
    assert make(5)[1] != make(6)[1]


def test_an_unknown_domain_or_split_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown domain 'sea'"):
        sample_scene(rng(0), 'sea')
    with pytest.raises(ValueError, match="unknown split 'test'"):
        questions(sample_scene(rng(0), 'road'), rng(0), 'test', 1)


def test_pictures_have_the_promised_form(views: list[tuple[Scene, Rendering]]) -> None:
    for scene, view in views:
        height, width = scene.camera.height, scene.camera.width
        assert view.image.shape == (height, width, 3)
        assert view.image.dtype == np.uint8
        assert view.instances.shape == (height, width)
        assert view.instances.dtype == np.int16
        assert max(height, width) <= 400


def test_everything_in_the_truth_is_visible(views: list[tuple[Scene, Rendering]]) -> None:
    for scene, view in views:
        scale = (SIDE / scene.camera.side) ** 2
        for index, thing in enumerate(scene.objects):
            area = (view.instances == index).sum() * scale
            assert area >= LEAST_AREA, f'{thing} shows {area:.0f} pixels'
        if isinstance(scene.ground, Road) and scene.ground.crossing is not None:
            stripes = view.labels == FIRST_SURFACE + SURFACES.index('crossing')
            assert stripes.sum() * scale >= LEAST_AREA


def test_things_stand_out_from_what_is_behind_them() -> None:
    """Drawing the scene without a thing changes most of the pixels that are said to show it."""
    for i in range(12):
        scene, view = sample_view(rng(7, i), DOMAINS[i % 2])
        whole = draw(scene).image.astype(int)
        for index, thing in enumerate(scene.objects):
            rest = scene.objects[:index] + scene.objects[index + 1 :]
            without = draw(replace(scene, objects=rest)).image.astype(int)
            change = np.abs(whole - without).max(axis=2)[view.instances == index]
            assert np.median(change) >= 6, thing


def test_yes_and_no_are_balanced(asked: list[tuple[Scene, list[Example]]]) -> None:
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for _, examples in asked:
        for example in examples:
            if example.kind == 'yes_no':
                answers[example.topic][example.answer] += 1
    total = sum(answers.values(), Counter[str]())
    assert 0.48 <= total[YES] / total.total() <= 0.52
    for topic, counts in answers.items():
        assert set(counts) <= {YES, NO}
        slack = 0.05 + 1.5 / counts.total() ** 0.5  # what chance does to so few
        assert abs(counts[YES] / counts.total() - 0.5) <= slack, (topic, counts)


def test_the_words_of_a_question_do_not_tell_its_answer(
    asked: list[tuple[Scene, list[Example]]],
) -> None:
    """Whoever knows how often each thing is there still answers presence no better than chance."""
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for _, examples in asked:
        for example in examples:
            if example.topic == 'presence':
                for noun in ('car', 'truck', 'stop sign', 'gripper', 'crossing', 'red', 'mug'):
                    if noun in example.question:
                        answers[noun][example.answer] += 1
    for noun, counts in answers.items():
        slack = 0.05 + 1.5 / counts.total() ** 0.5
        assert abs(counts[YES] / counts.total() - 0.5) <= slack, (noun, counts)


def test_every_count_is_asked_for(asked: list[tuple[Scene, list[Example]]]) -> None:
    counts = Counter(e.answer for _, found in asked for e in found if e.kind == 'number')
    assert set(counts) == set('01234')
    assert min(counts.values()) / counts.total() >= 0.08, counts
    assert max(counts.values()) / counts.total() <= 0.3, counts


def test_no_question_has_the_same_answer_in_every_scene() -> None:
    assert {len(answers) for answers in _odds().values()} >= {0, 2, 5}
    assert 1 not in {len(answers) for answers in _odds().values()}


def test_choices_hold_the_answer_and_give_no_hint(
    asked: list[tuple[Scene, list[Example]]],
) -> None:
    first, total = 0, 0
    for _, examples in asked:
        for example in examples:
            if example.kind != 'choice':
                assert not example.choices
                continue
            assert example.choices.count(example.answer) == 1
            assert 2 <= len(example.choices) <= 4
            assert all(c == c.lower() and len(c.split()) <= 2 for c in example.choices)
            if len(example.choices) == 2:
                first, total = first + (example.choices[0] == example.answer), total + 1
    assert 0.44 <= first / total <= 0.56


def test_no_question_is_asked_twice(asked: list[tuple[Scene, list[Example]]]) -> None:
    for _, examples in asked:
        texts = [(example.question, example.kind) for example in examples]
        assert len(set(texts)) == len(texts)
        assert len(texts) == 16


def test_relations_have_a_clear_margin() -> None:
    for i in range(60):
        scene = sample_scene(rng(9, i), DOMAINS[i % 2])
        things = {phrase: thing for thing, phrase in named(scene.objects)}
        facts = scene_facts(scene)
        for topic in ('left of', 'right of', 'side'):
            for fact in _facts(facts, topic):
                a, b = things[fact['x']], things[fact['y']]
                gap = middle(scene.camera, a)[0] - middle(scene.camera, b)[0]
                assert abs(gap) >= MARGIN
                left = fact['answer'] in ({'left of': YES, 'right of': NO}.get(topic), 'left')
                assert (gap < 0) == left
        for fact in _facts(facts, 'in front of'):
            gap = things[fact['x']].y - things[fact['y']].y
            assert abs(gap) >= DEPTH_MARGIN
            assert (gap < 0) == (fact['answer'] == YES)


def _facts(facts: object, topic: str) -> list[dict[str, str]]:
    assert isinstance(facts, dict)
    return [
        {**fact.words, 'answer': answer}
        for answers in facts.get(topic, {}).values()
        for answer, found in answers.items()
        for fact in found
    ]


def test_a_phrase_names_one_thing_only() -> None:
    for i in range(60):
        scene = sample_scene(rng(10, i), DOMAINS[i % 2])
        for thing, phrase in named(scene.objects):
            colour, kind, _ = phrase.split('|')
            alike = [t for t in scene.objects if t.kind == kind and colour in ('', t.colour)]
            assert alike == [thing]


def _normal(text: str) -> str:
    return text.lower().rstrip('?.')


def test_held_out_wordings_never_occur_in_training() -> None:
    for topic, wording in WORDINGS.items():
        train = {_normal(text) for template in wording.train for text in wordings(template)}
        heldout = {_normal(text) for template in wording.heldout for text in wordings(template)}
        assert not train & heldout, topic
        assert not {_normal(front + text) for front in FRONTS for text in train} & heldout, topic
        assert len(train) >= 10, topic
        assert len(heldout) >= 3, topic


def test_held_out_wordings_use_known_words() -> None:
    def words(split: str) -> set[str]:
        found = set()
        for wording in WORDINGS.values():
            for template in wording.of(split):
                for text in wordings(template):
                    found |= set(_normal(FILLER.sub(' ', text)).replace(':', ' ').split())
        return {word.strip('?.,') for word in found}

    assert words('heldout') <= words('train')


def test_both_splits_fill_every_template() -> None:
    scene = sample_scene(rng(11), 'road')
    for split in ('train', 'heldout'):
        for example in questions(scene, rng(12), split, 40):
            assert not set(example.question) & set('[]{}|'), example.question
            assert example.question == example.question.strip()
            assert '  ' not in example.question


def test_patch_targets_agree_with_a_slow_count(views: list[tuple[Scene, Rendering]]) -> None:
    grid = 12
    for scene, view in views[:6]:
        assert np.array_equal(patch_targets(scene, view, grid), _slow_targets(scene, view, grid))


def _slow_targets(scene: Scene, view: Rendering, grid: int) -> NDArray[np.uint8]:
    height, width = view.labels.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    areas: dict[tuple[int, int], int] = defaultdict(int)
    places: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row in range(height):
        for column in range(width):
            label = int(view.labels[row, column])
            patch = (row + top) * grid // side * grid + (column + left) * grid // side
            areas[patch, label] += 1
            if 0 < label < FIRST_SURFACE:
                places[label - 1].append((row, column))
    targets = np.zeros((grid * grid, len(ATTRIBUTES)), np.uint8)

    def mark(patch: int, name: str) -> None:
        targets[patch, ATTRIBUTES.index(name)] = 1

    for (patch, label), area in areas.items():
        if area < LEAST * (side / grid) ** 2:
            continue
        if label >= FIRST_SURFACE:
            mark(patch, SURFACES[label - FIRST_SURFACE])
            if SURFACES[label - FIRST_SURFACE] in ('crossing', 'marking'):
                mark(patch, 'road')
        elif label:
            for name in thing_attributes(scene, scene.objects[label - 1]):
                mark(patch, name)
    for index, pixels in places.items():
        row = int(sum(r for r, _ in pixels) / len(pixels) + top) * grid // side
        column = int(sum(c for _, c in pixels) / len(pixels) + left) * grid // side
        mark(row * grid + column, f'centre of a {scene.objects[index].kind}')
        for name in thing_attributes(scene, scene.objects[index]):
            mark(row * grid + column, name)
    whole = [f'{scene.domain} scene', 'night' * scene.air.night, scene.air.weather]
    for name in set(whole) & set(ATTRIBUTES):
        targets[:, ATTRIBUTES.index(name)] = 1
    return targets


def test_every_attribute_occurs(views: list[tuple[Scene, Rendering]]) -> None:
    seen = sum(patch_targets(scene, view, 12).sum(axis=0) for scene, view in views)
    seen = seen + blank_targets(12).sum(axis=0)
    assert [name for name, count in zip(ATTRIBUTES, seen, strict=True) if not count] == []


def test_blank_pictures_cannot_be_told_anything_about() -> None:
    kinds = Counter[str]()
    for i in range(30):
        image = blank_view(rng(13, i))
        assert image.dtype == np.uint8
        assert image.ndim == 3
        for example in blank_questions(rng(14, i), 'train', 6):
            assert example.answer == CANNOT_TELL
            kinds[example.kind] += 1
    assert set(kinds) == {'text', 'yes_no', 'choice', 'number'}


def test_real_scenes_can_always_be_told_about(asked: list[tuple[Scene, list[Example]]]) -> None:
    assert all(e.answer != CANNOT_TELL for _, examples in asked for e in examples)


def test_captions_tell_the_counts() -> None:
    for i in range(40):
        scene = sample_scene(rng(15, i), 'table')
        lying = [t for t in scene.objects if t.kind != 'gripper' and t.state != 'held']
        text = caption(scene, rng(16, i), 'train').lower()
        assert 1 <= text.count('.') <= 3
        for kind in {thing.kind for thing in lying}:
            assert kind in text
        if not lying:
            assert 'empty' in text or 'nothing' in text


def test_rendering_again_shows_the_same_things(views: list[tuple[Scene, Rendering]]) -> None:
    for scene, view in views[:4]:
        assert np.array_equal(render(scene, rng(17)).labels, view.labels)
