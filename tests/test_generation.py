"""Generation: sampling, streaming, follow-up questions, and numbers that are none."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import torch
from small_model import CONFIG, make_model, small_network
from tokenizers import Tokenizer

from ros2_llava_phi.assistant.answer import Answer, CutShort, ModelIdentity
from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.assistant.closed_answers import choose
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.question import Kind, Question, Sampling, request_text
from ros2_llava_phi.assistant.responder import Request, Responder
from ros2_llava_phi.assistant.view import Conversation
from ros2_llava_phi.engine.branches import Layout
from ros2_llava_phi.engine.engine import Floats, likeliest
from ros2_llava_phi.engine.torch_engine import DecodeGraph, TorchCache, TorchEngine, place_token
from ros2_llava_phi.errors import NumericsError, OutOfTimeError, QuestionError
from ros2_llava_phi.model.image import preprocess
from ros2_llava_phi.model.network import attend
from ros2_llava_phi.model.prompt import (
    Mark,
    Turn,
    after_picture,
    answer_text,
    next_turn,
    prompt_tokens,
    v0_prompt,
)
from ros2_llava_phi.model.tokenizer import encode, load_tokenizer

IDENTITY = ModelIdentity('small', '0' * 64, 'torch', 'fp32', 'cpu', 32, 16, 128)


class CountingEngine(TorchEngine):
    """Counts the tokens that it reads."""

    read = 0

    def prefill(self, embeddings: Floats, cache: TorchCache) -> Floats:
        self.read += len(embeddings)
        return super().prefill(embeddings, cache)


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return load_tokenizer(make_model(tmp_path_factory.mktemp('model')), CONFIG.text.vocab_size)


@pytest.fixture
def engine() -> CountingEngine:
    return CountingEngine(small_network())


@pytest.fixture
def assistant(engine: CountingEngine, tokenizer: Tokenizer) -> Assistant:
    return Assistant(engine, tokenizer, IDENTITY)


def frame() -> Frame:
    blocks = np.random.default_rng(1).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Frame(np.ascontiguousarray(blocks.repeat(10, axis=0).repeat(10, axis=1)))


FIRST = [
    Question('What?', max_tokens=4),
    Question('Is it?', Kind.YES_NO),
    Question('Which?', Kind.CHOICE, ('red', 'green')),
    Question('How many?', Kind.NUMBER),
]


@pytest.mark.parametrize('first', FIRST, ids=lambda question: question.kind.name)
def test_a_follow_up_reads_the_past_once(
    assistant: Assistant, engine: CountingEngine, tokenizer: Tokenizer, first: Question
) -> None:
    """Its answer is the one to the whole conversation; only what is new is read."""
    second = Question('And now?', max_tokens=5)
    conversation = Conversation(assistant.look(frame()))
    said = assistant.ask(conversation, first)
    assert conversation.view.prefix is not None
    known = conversation.view.prefix.length + conversation.past.read
    assert known > said.prompt_tokens or said.answer_tokens < 2
    engine.read = 0
    answer = assistant.ask(conversation, second)
    decoded = answer.answer_tokens - 1  # the last token is not read
    assert engine.read == answer.prompt_tokens - known + decoded

    # The answer as it was said: a text that was cut short may have other tokens when read again.
    end = CONFIG.text.eos_token_id
    asked = v0_prompt([Turn((Mark.PICTURE, f'\n{request_text(first)}'))])
    parts = prompt_tokens(tokenizer, asked, end)
    answered = [end, *encode(tokenizer, next_turn(second.text))]
    if first.kind == Kind.FREE_TEXT:
        answered = [*free_tokens(engine, parts, first.max_tokens), *answered]
    else:
        answered = [*encode(tokenizer, answer_text(said.text)), *answered]
    whole = embedded(engine, [*parts, answered])
    assert answer.prompt_tokens == len(whole)
    cache = engine.new_cache()
    tokens = greedy(engine, engine.prefill(whole, cache), cache, second.max_tokens)
    text = tokenizer.decode(tokens).strip().rstrip('\ufffd')  # half a character is not shown
    assert answer.text == text


def embedded(engine: TorchEngine, parts: list[list[int] | Mark]) -> Floats:
    picture = engine.encode(preprocess(frame().image, CONFIG))
    stretches = [engine.embed(part) if isinstance(part, list) else picture for part in parts]
    return np.concatenate(stretches)


def free_tokens(engine: TorchEngine, parts: list[list[int] | Mark], most: int) -> list[int]:
    cache = engine.new_cache()
    return greedy(engine, engine.prefill(embedded(engine, parts), cache), cache, most)


def greedy(engine: TorchEngine, logits: Floats, cache: TorchCache, most: int) -> list[int]:
    tokens: list[int] = []
    while len(tokens) < most and (token := int(logits.argmax())) != CONFIG.text.eos_token_id:
        tokens.append(token)
        logits = engine.decode(token, cache)
    return tokens


def test_a_follow_up_of_a_follow_up(assistant: Assistant) -> None:
    conversation = Conversation(assistant.look(frame()))
    lengths = [assistant.ask(conversation, FIRST[1]).prompt_tokens for _ in range(3)]
    assert lengths[0] < lengths[1] < lengths[2]
    assert [answer.prompt_tokens for answer in conversation.answers] == lengths
    assert assistant.ask(conversation.view, FIRST[1]).prompt_tokens == lengths[0]


def test_a_question_that_failed_leaves_a_conversation_as_it_was(
    assistant: Assistant, engine: CountingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm, disturbed = (Conversation(assistant.look(frame())) for _ in range(2))
    assistant.ask(calm, FIRST[0])
    assistant.ask(disturbed, FIRST[0])

    def fail(*_: object) -> Floats:
        raise NumericsError('no number')

    with monkeypatch.context() as patch:
        patch.setattr(engine, 'prefill', fail)
        with pytest.raises(NumericsError):
            assistant.ask(disturbed, FIRST[1])
    with pytest.raises(OutOfTimeError):
        assistant.ask(disturbed, FIRST[1], out_of_time=iter([False, True]).__next__)
    with pytest.raises(QuestionError, match=r'what was said .* begin a new conversation'):
        assistant.ask(disturbed, 'far, ' * 100)
    assert heard(assistant.ask(disturbed, FIRST[1])) == heard(assistant.ask(calm, FIRST[1]))
    assert len(disturbed.answers) == 2


def heard(answer: Answer) -> tuple[object, ...]:
    """Return all of an answer but its timings."""
    return (answer.text, answer.confidence, answer.probabilities, answer.prompt_tokens)


def test_only_what_the_cache_no_longer_holds_of_a_conversation_is_read_again(
    assistant: Assistant, engine: CountingEngine
) -> None:
    conversation = Conversation(assistant.look(frame()))
    assert conversation.view.prefix is not None
    beginning = conversation.view.prefix.length

    def read() -> int:
        """Return how many tokens another question of the conversation takes."""
        engine.read = 0
        assistant.ask(conversation, FIRST[1])
        return engine.read

    first, second = read(), read()
    assert second < first + 8  # what the first one left unread, and the second's own
    assistant.ask(conversation.view, FIRST[0])
    third = read()
    assert third == conversation.answers[2].prompt_tokens - beginning > first + second


def test_a_request_with_a_past_is_replied_to_by_itself(
    assistant: Assistant, engine: CountingEngine, tokenizer: Tokenizer
) -> None:
    conversation = Conversation(assistant.look(frame()))
    assistant.ask(conversation, FIRST[0])
    prefix = conversation.view.prefix
    assert prefix is not None
    form = partial(choose, answers=('red', 'green'))
    alone = Request(encode(tokenizer, after_picture('Which?')), form)
    going_on = Request(encode(tokenizer, next_turn('Which?')), form, conversation.past)
    responder = Responder(engine, tokenizer)
    requests = [alone, going_on, alone, alone, going_on]
    each = [next(responder.reply(prefix, [request])).reply for request in requests]
    assert each[0].probabilities != each[1].probabilities
    together = [replied.reply for replied in responder.reply(prefix, requests)]
    for reply, wanted in zip(together, each, strict=True):
        assert reply.probabilities == pytest.approx(wanted.probabilities, abs=1e-5)


def test_a_text_without_sampling_takes_two_numbers_a_token_from_the_engine(
    assistant: Assistant, engine: CountingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    view, question = assistant.look(frame()), Question('What?', max_tokens=6)
    wanted = assistant.ask(view, question)
    decode, taken = engine.decode, list[int]()

    def step(token: int, cache: TorchCache) -> tuple[int, float]:
        taken.append(token)
        return likeliest(decode(token, cache))

    monkeypatch.setattr(engine, 'step', step)
    monkeypatch.setattr(engine, 'decode', lambda *_: pytest.fail('logits were asked for'))
    answer = assistant.ask(view, question)
    assert (answer.text, answer.confidence) == (wanted.text, wanted.confidence)
    assert len(taken) == answer.answer_tokens - 1 > 2


def test_sampling_is_repeatable_and_varied(assistant: Assistant) -> None:
    def text(seed: int, temperature: float = 1.0) -> str:
        sampling = Sampling(temperature, seed=seed)
        question = Question('What?', max_tokens=6, sampling=sampling)
        return assistant.ask(assistant.look(frame()), question).text

    greedy_text = assistant.ask(assistant.look(frame()), Question('What?', max_tokens=6)).text
    assert text(1) == text(1)
    assert len({text(seed, 3.0) for seed in range(6)}) > 3
    assert {text(seed, 1e-3) for seed in range(3)} == {greedy_text}


class ScriptedEngine:
    """Expects the same after every token: the logits it was given."""

    name, precision, device, threads = 'scripted', 'fp32', 'cpu', 1
    config = CONFIG

    def __init__(self, logits: Sequence[Floats]) -> None:
        self.logits, self.steps = logits, 0

    def encode(self, pixels: Floats) -> Floats:
        return np.zeros((16, 48), np.float32)

    def embed(self, tokens: Sequence[int]) -> Floats:
        return np.zeros((len(tokens), 48), np.float32)

    def new_cache(self) -> TorchCache:
        return TorchCache(CONFIG.text, torch.float32, 'cpu')

    def prefill(self, embeddings: Floats, cache: TorchCache) -> Floats:
        cache.length += len(embeddings)
        return self.logits[min(self.steps, len(self.logits) - 1)]

    def extend(self, embeddings: Floats, cache: TorchCache, layout: Layout) -> Floats:
        return np.stack([self.prefill(embeddings, cache)] * len(layout.last))

    def decode(self, token: int, cache: TorchCache) -> Floats:
        self.steps += 1
        return self.prefill(self.embed([token]), cache)

    def step(self, token: int, cache: TorchCache) -> tuple[int, float]:
        return likeliest(self.decode(token, cache))


def logits_of(probabilities: dict[int, float]) -> Floats:
    logits = np.full(CONFIG.text.vocab_size, -1e9, np.float32)
    for token, probability in probabilities.items():
        logits[token] = np.log(probability)
    return logits


def test_samples_follow_the_probabilities(tokenizer: Tokenizer) -> None:
    letters = {
        tokenizer.encode(letter).ids[0]: share
        for letter, share in zip('abc', (0.6, 0.3, 0.1), strict=True)
    }
    engine = ScriptedEngine([logits_of(letters)])
    assistant = Assistant(engine, tokenizer, IDENTITY)

    def drawn(sampling: Sampling) -> Counter[str]:
        question = Question('?', max_tokens=60, sampling=sampling)
        view = assistant.look(frame())
        return Counter(assistant.ask(view, question).text)

    counts = sum((drawn(Sampling(1.0, 1.0, seed)) for seed in range(20)), Counter())
    shares = [counts[letter] / counts.total() for letter in 'abc']
    np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], atol=0.05)
    assert set(drawn(Sampling(1.0, 0.85))) == {'a', 'b'}
    assert set(drawn(Sampling(1.0, 0.5))) == {'a'}


@pytest.mark.parametrize('text', ['漢字', '😀 done', 'naïve'])
def test_no_piece_is_half_a_character(tokenizer: Tokenizer, text: str) -> None:
    tokens = tokenizer.encode(f' {text}').ids
    assert len(tokens) > len(text.split())
    steps = [logits_of({token: 1.0}) for token in [*tokens, CONFIG.text.eos_token_id]]
    for most in range(1, len(steps) + 1):
        assistant = Assistant(ScriptedEngine(steps), tokenizer, IDENTITY)
        pieces: list[str] = []
        answer = assistant.ask(
            assistant.look(frame()), Question('?', max_tokens=most), on_text=pieces.append
        )
        assert '\ufffd' not in ''.join(pieces)
        assert text.startswith(answer.text)
        assert answer.cut_short == (
            CutShort.COMPLETE if most == len(steps) else CutShort.TOKEN_LIMIT
        )
    assert ''.join(pieces).strip() == text


def test_a_spare_row_says_nothing(tokenizer: Tokenizer) -> None:
    """Ids beyond the tokenizer have no text; a model that says one is not an error."""
    spare = tokenizer.get_vocab_size()
    assert spare < CONFIG.text.vocab_size
    steps = [logits_of({token: 1.0}) for token in (spare, *tokenizer.encode(' yes').ids, 0)]
    assistant = Assistant(ScriptedEngine(steps), tokenizer, IDENTITY)
    assert assistant.ask(assistant.look(frame()), Question('?')).text == 'yes'


@pytest.mark.parametrize(
    'layer', ['decoder.layers.1.fc1', 'decoder.layers.2.v_proj', 'decoder.lm_head']
)
@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_what_is_no_number_is_an_error_with_its_layer(layer: str, value: float) -> None:
    network = small_network()
    with torch.no_grad():
        network.state_dict()[f'{layer}.bias'][3] = value
    engine = TorchEngine(network)
    cache = engine.new_cache()
    with pytest.raises(NumericsError, match=f'first in {layer};') as error:
        engine.prefill(engine.embed([1, 2, 3]), cache)
    assert '\n' not in str(error.value)


def test_a_token_placed_by_a_number_is_decoded_like_any(engine: CountingEngine) -> None:
    """What a CUDA graph captures, without one: the whole capacity behind a mask."""
    decoder = engine._network.decoder
    cache, fresh = engine.new_cache(), engine.new_cache()
    for each in (cache, fresh):
        engine.prefill(engine.embed([3, 9, 27, 81]), each)
    cache.rewind(3)
    fresh.rewind(3)
    for token in (5, 7, 11):
        with torch.inference_mode():
            embedding = decoder.embed_tokens(torch.tensor([[token]]))
            place = torch.tensor([cache.length])
            logits = place_token(decoder, embedding, place, cache)
        cache.length += 1
        np.testing.assert_allclose(logits.numpy(), engine.decode(token, fresh), atol=1e-4)


def test_a_graph_is_made_and_run_on_the_device_of_the_weights(
    engine: CountingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a stand-in for CUDA, where the CPU is one of two devices, and not the current one."""
    current, ran_on = [torch.device('cuda:0')], list[torch.device]()

    @contextmanager
    def device(chosen: torch.device) -> Iterator[None]:
        current.append(chosen)
        yield
        current.pop()

    class Stream:
        def __init__(self) -> None:
            self.device = current[-1]

        def wait_stream(self, other: 'Stream') -> None:
            ran_on.extend([self.device, other.device])

        def replay(self) -> None:
            ran_on.append(current[-1])

    @contextmanager
    def within(stream: Stream) -> Iterator[None]:
        ran_on.extend([stream.device, current[-1]])
        yield

    monkeypatch.setattr(torch.cuda, 'device', device)
    for name in ('Stream', 'current_stream', 'CUDAGraph'):
        monkeypatch.setattr(torch.cuda, name, Stream)
    for name in ('stream', 'graph'):
        monkeypatch.setattr(torch.cuda, name, within)
    decoder = engine._network.decoder
    graph = DecodeGraph(decoder, engine.new_cache())
    graph(torch.zeros(1, 1, CONFIG.text.hidden_size), 0)
    assert len(ran_on) == 9
    assert set(ran_on) == {decoder.lm_head.weight.device}


def test_what_is_no_number_leaves_nothing_behind(engine: CountingEngine) -> None:
    cache, fresh = engine.new_cache(), engine.new_cache()
    for each in (cache, fresh):
        engine.prefill(engine.embed([3, 9]), each)
    with pytest.raises(NumericsError):
        engine.prefill(np.full((2, CONFIG.text.hidden_size), np.nan, np.float32), cache)
    assert cache.length == 2
    assert cache.keys.isfinite().all() and cache.values.isfinite().all()
    np.testing.assert_array_equal(engine.decode(5, cache), engine.decode(5, fresh))


def test_a_picture_that_becomes_no_number() -> None:
    network = small_network()
    with torch.no_grad():
        network.state_dict()['vision_tower.layers.1.fc2.weight'][0, 0] = float('nan')
    engine = TorchEngine(network)
    with pytest.raises(NumericsError, match=r'first in vision_tower\.layers\.1\.fc2'):
        engine.encode(np.zeros((3, 32, 32), np.float32))


def test_large_queries_and_keys_do_not_overflow_in_fp16() -> None:
    """Values of several hundred, as Phi-2 has them, whose products exceed 65504."""
    torch.manual_seed(0)
    q, k = (300 * torch.randn(1, 2, 5, 80) for _ in range(2))
    v = torch.randn(1, 2, 5, 80)
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    q, k, v = q.half(), k.half(), v.half()
    assert not (q @ k.transpose(-1, -2)).isfinite().all()
    out = attend(q, k, v, mask)
    assert out.dtype == torch.float16
    expected = attend(q.float(), k.float(), v.float(), mask)
    torch.testing.assert_close(out.float(), expected, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize(('temperature', 'top_p'), [(1e-40, 0.95), (1e-310, 1.0), (1.0, 1e-50)])
def test_the_smallest_settings_take_the_likeliest(
    assistant: Assistant, temperature: float, top_p: float
) -> None:
    view = assistant.look(frame())
    sampling = Sampling(temperature, top_p, seed=5)
    drawn = assistant.ask(view, Question('?', max_tokens=4, sampling=sampling))
    assert drawn.text == assistant.ask(view, Question('?', max_tokens=4)).text
