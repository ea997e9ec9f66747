"""Branches in one cache, and questions asked together: each as if it were alone."""

from collections.abc import Sequence

import numpy as np
import pytest
from small_model import CONFIG, random_model
from test_assistant import picture

from ros2_llava_phi.assistant.answer import Answer
from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.assistant.load import load
from ros2_llava_phi.assistant.question import Kind, Question, Sampling
from ros2_llava_phi.assistant.view import Conversation
from ros2_llava_phi.engine.branches import Branches, Layout, in_a_row
from ros2_llava_phi.engine.engine import AnyEngine, Floats
from ros2_llava_phi.engine.export import export
from ros2_llava_phi.errors import QuestionError
from ros2_llava_phi.model.checkpoint import open_checkpoint

pytestmark = pytest.mark.slow

ROOMY = CONFIG.model_copy(update={'text': CONFIG.text.model_copy(update={'context_length': 512})})


@pytest.fixture(scope='module', params=['torch', 'fp32', 'int8', 'mixed'])
def assistant(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Assistant:
    folder = tmp_path_factory.mktemp(request.param)
    model = random_model(folder / 'model', ROOMY)
    if request.param == 'torch':
        return load(str(model), 'torch')
    export(open_checkpoint(model), folder / 'export', 'small', request.param)
    return load(str(folder / 'export'))


@pytest.fixture
def engine(assistant: Assistant) -> AnyEngine:
    return assistant._responder.engine


def test_a_layout_lets_each_branch_see_what_is_shared_and_its_own() -> None:
    branches = Branches(2)
    first = branches.append([(0, 2), (1, 1)])
    assert first.positions.tolist() == [2, 3, 2]
    assert first.last.tolist() == [1, 2]
    assert first.mask.astype(int).tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 0, 0, 1]]
    branches.rewind(0, 1)
    second = branches.append([(1, 1), (0, 1)])
    assert second.positions.tolist() == [3, 3]
    assert second.mask.astype(int).tolist() == [[1, 1, 0, 0, 1, 1, 0], [1, 1, 1, 0, 0, 0, 1]]
    row = in_a_row(2, 3)
    alone = Branches(2).append([(0, 3)])
    for field in ('positions', 'mask', 'last'):
        np.testing.assert_array_equal(getattr(row, field), getattr(alone, field))


def test_branches_give_the_logits_of_fresh_caches(engine: AnyEngine) -> None:
    prompt, parts = list(range(3, 20)), [[7, 8, 9, 10, 11], [40, 41, 42], [60, 61]]
    cache = engine.new_cache()
    engine.prefill(engine.embed(prompt), cache)
    branches = Branches(cache.length)

    def extend(pieces: dict[int, list[int]]) -> Floats:
        layout = branches.append([(branch, len(tokens)) for branch, tokens in pieces.items()])
        tokens = [token for piece in pieces.values() for token in piece]
        return engine.extend(engine.embed(tokens), cache, layout)

    def fresh(*pieces: list[int]) -> Floats:
        other = engine.new_cache()
        engine.prefill(engine.embed(prompt), other)
        for piece in pieces:
            logits = engine.prefill(engine.embed(piece), other)
        return logits

    rows = extend(dict(enumerate(parts)))
    np.testing.assert_allclose(rows, [fresh(part) for part in parts], atol=1e-4)
    rows = extend({2: [5], 0: [6]})
    expected = [fresh(parts[2], [5]), fresh(parts[0], [6])]
    np.testing.assert_allclose(rows, expected, atol=1e-4)
    branches.rewind(0, 4)
    rows = extend({0: [9], 1: [6], 2: [7]})
    # Of branch 0 the last token of its prompt was forgotten, and the one behind it.
    assert np.abs(rows[0] - fresh(parts[0], [6], [9])).max() > 1e-2
    expected = [fresh(parts[1], [6]), fresh(parts[2], [5], [7])]
    np.testing.assert_allclose(rows[1:], expected, atol=1e-4)


def test_beyond_the_capacity_nothing_is_written(engine: AnyEngine) -> None:
    cache = engine.new_cache()
    engine.prefill(engine.embed([5] * (cache.capacity - 3)), cache)
    layout = Branches(cache.length).append([(0, 2), (1, 2)])
    with pytest.raises(ValueError, match='509 \\+ 4 tokens do not fit a cache of 512'):
        engine.extend(engine.embed([1, 2, 3, 4]), cache, layout)
    assert cache.length == 509


QUESTIONS = [
    Question('What is there?', max_tokens=5),
    Question('Is there a car?', Kind.YES_NO),
    Question('Which?', Kind.CHOICE, ('red', 'green', 'red car', 'red bus', 'cannot tell')),
    Question('How many?', Kind.NUMBER),
    Question('And what else?', max_tokens=7, sampling=Sampling(seed=3)),
    Question('Is it red?', Kind.YES_NO),
]


class Counted:
    """Has every question's room in a cache counted, by way of its runs."""

    def __init__(self, assistant: Assistant, patch: pytest.MonkeyPatch) -> None:
        self.runs: list[int] = []
        extend = assistant._responder.engine.extend

        def count(embeddings: Floats, cache: object, layout: Layout) -> Floats:
            self.runs.append(len(layout.last))
            return extend(embeddings, cache, layout)

        patch.setattr(assistant._responder.engine, 'extend', count)


def hold_to_asking_alone(
    assistant: Assistant, questions: Sequence[Question], seed: int = 0
) -> list[Answer | QuestionError]:
    together = assistant.ask_all(assistant.look(picture(seed)), questions)
    view = assistant.look(picture(seed))
    for question, answer in zip(questions, together, strict=True):
        assert isinstance(answer, Answer)
        alone = assistant.ask(view, question)
        for field in ('question', 'text', 'value', 'prompt_tokens', 'answer_tokens', 'cut_short'):
            assert getattr(answer, field) == getattr(alone, field)
        assert answer.confidence == pytest.approx(alone.confidence, abs=1e-5)
        assert answer.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
    return together


def test_questions_asked_together_are_answered_as_alone(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(assistant, monkeypatch)
    answers = assistant.ask_all(assistant.look(picture()), QUESTIONS[:4])
    # The picture, four prompts at once, and then some steps of several together.
    assert counted.runs[:2] == [1, 4]
    assert max(counted.runs[2:]) > 1
    looked = [a.timings.encode > 0 for a in answers if isinstance(a, Answer)]
    assert looked == [True, False, False, False]
    hold_to_asking_alone(assistant, QUESTIONS)
    hold_to_asking_alone(assistant, [*QUESTIONS, *QUESTIONS, *QUESTIONS], seed=1)


def test_what_has_no_room_together_is_asked_alone(assistant: Assistant) -> None:
    """Texts that go on until the context is full: 512 tokens, picture and prompt included."""
    endless = [Question(f'What is there {i}?', max_tokens=400) for i in range(3)]
    hold_to_asking_alone(assistant, endless)


def test_one_that_does_not_fit_hinders_no_other(assistant: Assistant) -> None:
    view = assistant.look(picture())
    long = Question('far, ' * 199)
    first, error, last = assistant.ask_all(view, [QUESTIONS[1], long, QUESTIONS[3]])
    assert isinstance(error, QuestionError) and 'room' in str(error)
    assert isinstance(first, Answer) and isinstance(last, Answer)
    assert assistant.ask_all(view, []) == []


def heard(answer: Answer) -> tuple[object, ...]:
    """Return all of an answer but its timings."""
    return (answer.text, answer.confidence, answer.probabilities, answer.prompt_tokens)


def test_conversations_about_one_view_do_not_disturb_each_other(assistant: Assistant) -> None:
    """Interleaved, with single questions between: each is, bit for bit, what it is alone."""
    talks = (
        [QUESTIONS[0], QUESTIONS[2], QUESTIONS[3], QUESTIONS[4], QUESTIONS[1]],
        [QUESTIONS[0], QUESTIONS[1], QUESTIONS[4]],
        [QUESTIONS[3], QUESTIONS[4], QUESTIONS[2], QUESTIONS[0]],
        [QUESTIONS[0], QUESTIONS[2], QUESTIONS[3]],
    )
    alone = []
    for questions in talks:
        conversation = Conversation(assistant.look(picture()))
        alone.append([heard(assistant.ask(conversation, each)) for each in questions])
    assert alone[0][0] == alone[1][0]
    single = heard(assistant.ask(assistant.look(picture()), QUESTIONS[4]))
    assert single not in [each for one in alone for each in one]  # the past matters

    view = assistant.look(picture())
    conversations = [Conversation(view) for _ in talks]
    for turn in range(max(map(len, talks))):
        for questions, conversation in zip(talks, conversations, strict=True):
            if turn < len(questions):
                assistant.ask(conversation, questions[turn])
            if turn == 1:
                assert heard(assistant.ask(view, QUESTIONS[4])) == single
        if turn == 2:
            assistant.ask_all(view, QUESTIONS)
    assert [[heard(each) for each in one.answers] for one in conversations] == alone
