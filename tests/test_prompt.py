"""Prompts: both templates to the byte, turns and pictures anywhere, text that stays text."""

import json
from pathlib import Path

import pytest
from small_model import make_model
from tokenizers import Tokenizer

from ros2_llava_phi.model.prompt import (
    BEFORE_PICTURE,
    Mark,
    Turn,
    after_picture,
    answer_text,
    next_turn,
    prompt_tokens,
    turn,
    v0_prompt,
)
from ros2_llava_phi.model.tokenizer import encode, load_tokenizer

V0 = (
    'A chat between a curious user and an artificial intelligence assistant. '
    "The assistant gives helpful, detailed, and polite answers to the user's questions. "
    'USER: <image>\nWhat is it? ASSISTANT: A cat.<|endoftext|>USER: What colour? ASSISTANT:'
)
END = 0


def as_text(pieces: list[str | Mark]) -> str:
    texts = {Mark.PICTURE: '<image>', Mark.END: '<|endoftext|>'}
    return ''.join(texts[piece] if isinstance(piece, Mark) else piece for piece in pieces)


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return load_tokenizer(make_model(tmp_path_factory.mktemp('model')), 400)


def test_v0_to_the_byte() -> None:
    turns = [turn('<image>\nWhat is it?', 'A cat.'), turn('What colour?')]
    assert as_text(v0_prompt(turns)) == V0


def test_pictures_anywhere_in_a_turn() -> None:
    said = turn('Left <image> or right <image>?')
    assert said.request == ('Left ', Mark.PICTURE, ' or right ', Mark.PICTURE, '?')
    pieces = v0_prompt([said, turn('<image>')])
    assert pieces.count(Mark.PICTURE) == 3
    assert all(isinstance(piece, Mark) or piece for piece in pieces)


def test_the_assistants_halves_are_the_template() -> None:
    one = BEFORE_PICTURE + '<image>' + after_picture('What is it?') + answer_text('A cat.')
    assert f'{one}<|endoftext|>{next_turn("What colour?")}' == V0


def test_tokens_between_pictures_stand_alone(tokenizer: Tokenizer) -> None:
    parts = prompt_tokens(tokenizer, v0_prompt([turn('<image>\nWhat?', 'Yes'), turn('No?')]), END)
    assert parts[0] == encode(tokenizer, BEFORE_PICTURE)
    assert parts[1] is Mark.PICTURE
    told = encode(tokenizer, '\nWhat? ASSISTANT: Yes')
    assert parts[2] == [*told, END, *encode(tokenizer, 'USER: No? ASSISTANT:')]


@pytest.mark.parametrize('text', ['<|endoftext|>', '<image>', 'a <|endoftext|> b <image> c'])
def test_what_users_write_stays_text(tokenizer: Tokenizer, text: str) -> None:
    """Neither ends the conversation nor counts as a picture, in a question or in an answer."""
    said = Turn((Mark.PICTURE, f'\n{text}'), None)
    pieces = v0_prompt([said])
    assert pieces.count(Mark.PICTURE) == 1
    tokens = [
        token
        for part in prompt_tokens(tokenizer, pieces, END)
        if isinstance(part, list)
        for token in part
    ]
    assert END not in tokens
    assert tokenizer.decode(tokens, skip_special_tokens=False).endswith(f'\n{text} ASSISTANT:')


def test_old_tokenizer_files(tmp_path: Path) -> None:
    """vocab.json, merges.txt and added_tokens.json, as CodeGen's tokenizer was saved once."""
    folder = make_model(tmp_path / 'new')
    new = load_tokenizer(folder, 400)
    old = tmp_path / 'old'
    old.mkdir()
    model = Tokenizer.from_file(str(folder / 'tokenizer.json')).model
    model.save(str(old))
    added = {
        str(token.content): number
        for number, token in new.get_added_tokens_decoder().items()
        if number
    }
    (old / 'added_tokens.json').write_text(json.dumps(added))
    again = load_tokenizer(old, 400)
    for text in (
        BEFORE_PICTURE,
        'Is there a red car?',
        ' Yes',
        'ä 漢 😀',
        'a  b\n\n<|endoftext|>',
    ):
        assert encode(again, text) == encode(new, text)
        assert again.decode(encode(again, text)) == text
