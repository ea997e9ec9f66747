"""What carries loss: the assistant's words and their end, exact at the token boundary."""

from pathlib import Path

import numpy as np
import pytest
from small_model import CONFIG, make_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from ros2_llava_phi.assistant.load import find_model
from ros2_llava_phi.datasets.dialogue import Dialogue
from ros2_llava_phi.model.prompt import Mark, Turn, prompt_tokens, turn, v0_prompt
from ros2_llava_phi.model.tokenizer import END_OF_TEXT, encode, load_tokenizer
from ros2_llava_phi.training.labels import PICTURE, Labelled, label, label_all

END = CONFIG.text.eos_token_id


def trap_tokenizer(trim_offsets: bool) -> Tokenizer:
    """Return a tokenizer with ` No` as one token beside the space alone, as Phi-2's is."""
    letters = pre_tokenizers.ByteLevel.alphabet()
    vocab = {END_OF_TEXT: 0, **{letter: n for n, letter in enumerate(sorted(letters), start=1)}}
    merges = [('Ġ', 'N'), ('ĠN', 'o'), ('Ġ', 'A'), ('A', 'S'), (':', 'Ġ')]
    vocab |= {a + b: len(vocab) + n for n, (a, b) in enumerate(merges)}
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@pytest.fixture(scope='module')
def small(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return load_tokenizer(make_model(tmp_path_factory.mktemp('model')), CONFIG.text.vocab_size)


def conversation(*turns: Turn, pictures: int = 1) -> Dialogue:
    return Dialogue('test', '[0]', 'a', (Path('0.png'),) * pictures, turns)


def learned_text(sample: Labelled, tokenizer: Tokenizer) -> str:
    said: str = tokenizer.decode(sample.tokens[sample.learned].tolist(), skip_special_tokens=False)
    return said


def flat(parts: list[list[int] | Mark]) -> list[int]:
    return [token for part in parts for token in (part if isinstance(part, list) else [PICTURE])]


@pytest.mark.parametrize('trim_offsets', [False, True])
def test_the_space_of_the_answer_belongs_to_it_and_is_no_token_of_its_own(
    trim_offsets: bool,
) -> None:
    tokenizer = trap_tokenizer(trim_offsets)
    sample = label(conversation(turn('<image>\nIs it?', 'No')), tokenizer, CONFIG, 'v0')
    no = tokenizer.token_to_id('ĠNo')
    assert sample.tokens[sample.learned].tolist() == [no, END]
    assert sample.tokens[-3] == tokenizer.token_to_id(':')


TURNS = (
    turn('<image>\nIs there a red car?', 'Yes'),
    turn('Say " ASSISTANT: No" twice. ASSISTANT: No', 'a ASSISTANT: b USER: c <|endoftext|>'),
    turn('And how many?', 'dreißig 🚗 — 30\n'),
)


@pytest.mark.parametrize('model', ['small', 'llava-phi-tiny'])
def test_tokens_are_those_of_the_prompt_and_answers_alone_are_learned(
    model: str, small: Tokenizer
) -> None:
    tokenizer = small if model == 'small' else load_tokenizer(find_model(model), 776)
    sample = label(conversation(*TURNS), tokenizer, CONFIG, 'v0')
    assert sample.tokens.tolist() == flat(prompt_tokens(tokenizer, v0_prompt(TURNS), END))
    answers = [f' {each.answer}{END_OF_TEXT}' for each in TURNS]
    assert learned_text(sample, tokenizer) == ''.join(answers)
    # What the model is asked with is never learned: it ends right before the first answer.
    asked = flat(prompt_tokens(tokenizer, v0_prompt([Turn(TURNS[0].request)]), END))
    assert sample.tokens[: len(asked)].tolist() == asked
    assert np.flatnonzero(sample.learned)[0] == len(asked)


def test_plain_is_a_picture_and_its_caption(small: Tokenizer) -> None:
    talk = conversation(turn('<image>\nDescribe it.', 'a red car'), turn('More?', 'No'))
    sample = label(talk, small, CONFIG, 'plain')
    assert sample.tokens.tolist() == flat(prompt_tokens(small, [Mark.PICTURE, 'a red car\n'], END))
    assert learned_text(sample, small) == 'a red car\n'


def test_pictures_count_towards_the_length(small: Tokenizer) -> None:
    talk = conversation(turn('<image>\nIs there a car?', 'Yes'))
    length = len(flat(prompt_tokens(small, v0_prompt(talk.turns), END))) + 15  # of 16 image tokens
    kept = label_all([talk], small, CONFIG, 'v0', length)
    assert (kept.samples[0].length, kept.dropped) == (length, [])
    left_out = label_all([talk], small, CONFIG, 'v0', length - 1)
    assert left_out.samples == []
    assert left_out.dropped[0].reason == (
        f'takes more than {length - 1} tokens, pictures included'
    )


def test_aligning_needs_one_picture(small: Tokenizer) -> None:
    text = conversation(turn('Hello', 'Yes'), pictures=0)
    assert label_all([text], small, CONFIG, 'plain', 128).samples == []
    assert len(label_all([text], small, CONFIG, 'v0', 128).samples) == 1


def test_every_answer_of_the_packaged_model_is_labelled_as_it_is_asked(small: Tokenizer) -> None:
    for answer in ('Yes', 'No', '0', 'cannot tell', 'red, blue', 'x'):
        talk = conversation(turn('<image>\nIs it?', answer))
        sample = label(talk, small, CONFIG, 'v0')
        wanted = [*encode(small, f' {answer}'), END]
        assert sample.tokens[sample.learned].tolist() == wanted
