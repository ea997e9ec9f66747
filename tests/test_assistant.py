"""The assistant: one look serves many questions; every kind of question; limits; abstaining."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_model import CONFIG, make_model, random_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from ros2_llava_phi.assistant import closed_answers
from ros2_llava_phi.assistant.answer import Answer, CutShort, Timings
from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.load import load
from ros2_llava_phi.assistant.question import Kind, Question, parse_kind
from ros2_llava_phi.assistant.reply import Steps, softmax
from ros2_llava_phi.errors import ModelError, OutOfTimeError, QuestionError
from ros2_llava_phi.model.prompt import after_picture
from ros2_llava_phi.model.tokenizer import TOKENIZER_FILE, encode


@pytest.fixture(scope='module')
def assistant(tmp_path_factory: pytest.TempPathFactory) -> Assistant:
    return load(str(make_model(tmp_path_factory.mktemp('model') / 'small')))


def picture(seed: int = 0) -> Frame:
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Frame(np.ascontiguousarray(blocks.repeat(10, axis=0).repeat(10, axis=1)))


def up_after(calls: int) -> Callable[[], bool]:
    left = iter([False] * calls)
    return lambda: next(left, True)


QUESTIONS = [
    Question('What is there?', max_tokens=5),
    Question('Is there a car?', Kind.YES_NO),
    Question('Which?', Kind.CHOICE, ('red', 'green', 'red car', 'cannot tell')),
    Question('How many?', Kind.NUMBER),
]


def test_questions_on_one_view_do_not_disturb_each_other(assistant: Assistant) -> None:
    alone = [assistant.ask(assistant.look(picture()), question) for question in QUESTIONS]
    view = assistant.look(picture())
    shared = [assistant.ask(view, question) for question in reversed(QUESTIONS)]
    for one, other in zip(alone, reversed(shared), strict=True):
        assert (one.text, one.value) == (other.text, other.value)
        assert one.confidence == pytest.approx(other.confidence, abs=1e-6)


def test_the_picture_matters(assistant: Assistant) -> None:
    first, second = (assistant.ask(assistant.look(picture(i)), QUESTIONS[1]) for i in (1, 2))
    assert first.probabilities != second.probabilities


def test_only_the_first_answer_pays_for_looking(assistant: Assistant) -> None:
    view = assistant.look(picture())
    first, second = (assistant.ask(view, QUESTIONS[1]) for _ in range(2))
    assert first.timings.encode > 0
    assert first.timings.prefill_view > 0
    assert second.timings.encode == second.timings.prefill_view == 0
    assert second.timings.prefill > 0
    assert (first.text, first.confidence) == (second.text, second.confidence)


def test_yes_no_needs_no_decoding(assistant: Assistant) -> None:
    answer = assistant.ask(assistant.look(picture()), QUESTIONS[1])
    assert answer.allowed == ('Yes', 'No')
    assert answer.answer_tokens == 0
    assert answer.value is (answer.text == 'Yes') or answer.abstained
    assert 0 < sum(answer.probabilities) < 1


def test_a_choice_is_one_of_the_choices(assistant: Assistant) -> None:
    answer = assistant.ask(assistant.look(picture()), QUESTIONS[2])
    assert answer.allowed == QUESTIONS[2].choices
    assert answer.text == QUESTIONS[2].choices[int(answer.value or 0)]
    assert sum(answer.probabilities) == pytest.approx(1, abs=1e-5)
    assert answer.confidence == max(answer.probabilities)


def test_a_number_is_a_number(assistant: Assistant) -> None:
    answer = assistant.ask(assistant.look(picture()), QUESTIONS[3])
    assert answer.abstained or float(answer.text) == answer.value
    assert answer.allowed == ()
    assert answer.probabilities == ()


def test_free_text_streams_what_it_answers(assistant: Assistant) -> None:
    pieces: list[str] = []
    answer = assistant.ask(assistant.look(picture()), QUESTIONS[0], on_text=pieces.append)
    assert ''.join(pieces).strip() == answer.text
    assert answer.answer_tokens <= 5
    assert (answer.cut_short == CutShort.TOKEN_LIMIT) == (answer.answer_tokens == 5)
    assert 0 < answer.confidence <= 1


def test_free_text_ends_with_the_context(assistant: Assistant) -> None:
    endless = Question('Tell me everything', max_tokens=10_000)
    answers = [assistant.ask(assistant.look(picture(i)), endless) for i in range(3)]
    for answer in answers:
        assert answer.prompt_tokens + answer.answer_tokens <= CONFIG.text.context_length + 1
    assert any(answer.cut_short == CutShort.TOKEN_LIMIT for answer in answers)


def test_time_limits(assistant: Assistant) -> None:
    view = assistant.look(picture())
    for question in QUESTIONS:
        with pytest.raises(OutOfTimeError):
            assistant.ask(view, question, out_of_time=up_after(0))
        with pytest.raises(OutOfTimeError):
            assistant.ask(view, question, out_of_time=up_after(1))
    cut = assistant.ask(view, Question('What?', max_tokens=50), out_of_time=up_after(4))
    assert cut.cut_short == CutShort.TIME_LIMIT
    assert 0 < cut.answer_tokens < 50
    assert assistant.ask(view, QUESTIONS[1]).text in ('Yes', 'No', 'cannot tell')


@pytest.mark.parametrize('level', [0, 90, 255])
def test_frames_that_show_nothing(assistant: Assistant, level: int) -> None:
    view = assistant.look(Frame(np.full((48, 64, 3), level, np.uint8)))
    for question in QUESTIONS:
        answer = assistant.ask(view, question)
        assert answer.abstained
        assert 'shows nothing' in answer.abstain_reason
        assert answer.value is None
        assert answer.confidence == 1
        assert answer.probabilities == (0,) * len(answer.allowed)
        assert answer.timings == Timings()


def test_a_frame_that_shows_nothing_takes_no_cache(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        assistant._responder.engine, 'new_cache', lambda: pytest.fail('a cache was made')
    )
    view = assistant.look(Frame(np.zeros((48, 64, 3), np.uint8)))
    answers = [assistant.ask(view, QUESTIONS[0]), *assistant.ask_all(view, QUESTIONS)]
    assert all(isinstance(answer, Answer) and answer.abstained for answer in answers)


def test_noise_shows_nothing(assistant: Assistant) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    assert 'noise' in assistant.ask(assistant.look(Frame(noise)), QUESTIONS[1]).abstain_reason


def test_a_question_that_does_not_fit(assistant: Assistant) -> None:
    view = assistant.look(picture())
    with pytest.raises(QuestionError, match='ask in fewer words'):
        assistant.ask(view, Question('Is there ' * 100, Kind.YES_NO))


def test_a_context_without_room_for_a_question_is_refused(tmp_path: Path) -> None:
    def at_length(context_length: int) -> Assistant:
        text = CONFIG.text.model_copy(update={'context_length': context_length})
        config = CONFIG.model_copy(update={'text': text})
        folder = random_model(tmp_path / 'model', config)
        bytewise.save(str(folder / TOKENIZER_FILE))
        return load(str(folder))

    bytes_alone = {text: i for i, text in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    bytewise = Tokenizer(models.BPE(vocab=bytes_alone, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    with pytest.raises(ModelError, match=r'is 48 tokens, but .* take ') as error:
        at_length(48)
    needed = int(str(error.value).split()[-1])
    with pytest.raises(ModelError, match=f'context_length is {needed - 1} tokens'):
        at_length(needed - 1)
    assistant = at_length(needed)
    assert assistant.ask(assistant.look(picture()), Question('?')).answer_tokens > 0


def test_long_choices_need_room_too(assistant: Assistant) -> None:
    """Choices that begin alike are read token by token until they differ."""
    view = assistant.look(picture())
    alike = tuple('the red car on the left ' * 8 + end for end in 'ab')
    with pytest.raises(QuestionError, match='ask in fewer words'):
        assistant.ask(view, Question('Which is it of these many?', Kind.CHOICE, alike))
    close = tuple(f'a red car {end}' for end in 'ab')
    for words in range(1, 120):
        question = Question('red ' * words, Kind.CHOICE, close)
        try:
            assistant.ask(view, question)
        except QuestionError:
            break
    else:
        pytest.fail('the context was never full')


def test_control_tokens_in_a_question_stay_text(assistant: Assistant) -> None:
    view = assistant.look(picture())
    plain = assistant.ask(view, Question('Is there <|endoftext|> ?', Kind.YES_NO))
    short = assistant.ask(view, Question('Is there  ?', Kind.YES_NO))
    assert plain.prompt_tokens > short.prompt_tokens + 5


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'text': ' \n'}, 'empty'),
        ({'text': 'x' * 1001}, 'at most 1000'),
        ({'text': 'a?', 'max_tokens': 0}, 'at least 1'),
        ({'text': 'a?', 'kind': Kind.CHOICE}, 'needs 2 to 26'),
        ({'text': 'a?', 'kind': Kind.CHOICE, 'choices': ('x',)}, 'has 1 choice;'),
        ({'text': 'a?', 'kind': Kind.CHOICE, 'choices': ('x', ' ')}, 'choice 2 is empty'),
        ({'text': 'a?', 'kind': Kind.CHOICE, 'choices': ('x', 'x ')}, 'stands twice'),
        ({'text': 'a?', 'kind': Kind.CHOICE, 'choices': ('x', 'y' * 201)}, 'at most 200'),
        ({'text': 'a?', 'kind': Kind.YES_NO, 'choices': ('x', 'y')}, 'takes no choices'),
    ],
)
def test_questions_that_cannot_be_asked(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(QuestionError, match=message):
        Question(**arguments)  # type: ignore[arg-type]


def test_unknown_kind() -> None:
    with pytest.raises(QuestionError, match=r'no kind 9.*text \(0\)'):
        parse_kind(9)


def test_confidence_of_text_is_a_geometric_mean(assistant: Assistant) -> None:
    engine, tokenizer = assistant._responder.engine, assistant._tokenizer
    view = assistant.look(picture())
    assert view.prefix is not None
    cache = view.prefix.cache
    logits = engine.prefill(engine.embed(encode(tokenizer, after_picture('What?'))), cache)
    likeliest = []
    for _ in range(3):
        token = int(logits.argmax())
        likeliest.append(float(softmax(logits)[token]))
        logits = engine.decode(token, cache)
    answer = assistant.ask(view, Question('What?', max_tokens=3))
    assert answer.answer_tokens == 3
    assert answer.confidence == pytest.approx(math.prod(likeliest) ** (1 / 3), rel=1e-4)


def test_abstaining_must_be_likelier_than_all_answers_together(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not than the best of many, among which the probability is divided."""

    def probabilities(given: list[float]) -> Steps[list[float]]:
        yield from ()
        return given

    shares = {'red': 0.3, 'green': 0.25, 'blue': 0.1}
    question = Question('Which?', Kind.CHOICE, tuple(shares))

    def ask(scale: float) -> str:
        answers = [scale * share for share in shares.values()]
        given = [*answers, 1 - sum(answers)]
        monkeypatch.setattr(
            closed_answers, 'answer_probabilities', lambda *_: probabilities(given)
        )
        return assistant.ask(assistant.look(picture()), question).text

    assert ask(1.0) == 'red'
    assert ask(0.8) == 'red'
    assert ask(0.7) == 'cannot tell'
