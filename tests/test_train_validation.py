"""Validation asks as the assistant does: the same words, pictures and forms of a reply."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_model import CONFIG, make_model, small_network
from test_generation import IDENTITY, CountingEngine

from ros2_llava_phi.assistant.answer import Answer
from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.assistant.question import Kind, Question, request_text
from ros2_llava_phi.assistant.reply import softmax
from ros2_llava_phi.datasets.dialogue import Dialogue
from ros2_llava_phi.engine.torch_engine import TorchEngine
from ros2_llava_phi.imaging.pictures import read_picture
from ros2_llava_phi.model.image import preprocess
from ros2_llava_phi.model.prompt import Turn, after_picture, prompt_tokens, turn, v0_prompt
from ros2_llava_phi.model.tokenizer import encode, load_tokenizer
from ros2_llava_phi.training import validation
from ros2_llava_phi.training.labels import Labelled, label
from ros2_llava_phi.training.validation import LONGEST_ANSWER, validate

ASKED = request_text(Question('Is it red?', Kind.YES_NO))
# Each with its true answer, and what the data set calls its kind.
QUESTIONS = [
    (Question('Is it red?', Kind.YES_NO), 'Yes', 'yes_no'),
    (Question('Which is it?', Kind.CHOICE, ('red', 'green', 'red car')), 'green', 'choice'),
    (Question('How many?', Kind.NUMBER), '3', 'number'),
    (Question('What is it?', max_tokens=LONGEST_ANSWER), 'a red car', 'text'),
]


def test_validation_asks_as_the_assistant_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = CountingEngine(small_network())
    monkeypatch.setattr(validation, 'TorchEngine', lambda *_: engine)
    tokenizer = load_tokenizer(make_model(tmp_path / 'model'), CONFIG.text.vocab_size)
    samples, answers = list[Labelled](), list[Answer]()
    assistant = Assistant(TorchEngine(small_network()), tokenizer, IDENTITY)
    for seed in range(2):
        path = tmp_path / f'{seed}.png'
        blocks = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(blocks.repeat(10, axis=0).repeat(10, axis=1)).save(path)
        view = assistant.look(path)
        for question, truth, kind in QUESTIONS:
            asked = (turn(f'<image>\n{request_text(question)}', truth),)
            conversation = Dialogue('test', f'[{len(samples)}]', 'a', (path,), asked, kind)
            samples.append(label(conversation, tokenizer, CONFIG, 'v0'))
            answers.append(assistant.ask(view, question))

    found = validate(small_network(), tokenizer, samples, len(samples), 0, 'fp32', 'cpu')
    assert [each.said for each in found.asked] == [answer.text for answer in answers]
    for each, answer in zip(found.asked, answers, strict=True):
        assert each.allowed == answer.allowed
        assert each.probabilities == answer.probabilities
    # A picture is read once, with what stands in front of it, however much it is asked.
    beginning = answers[0].prompt_tokens - len(encode(tokenizer, after_picture(ASKED)))
    behind = sum(answer.prompt_tokens - beginning for answer in answers)
    decoded = sum(max(answer.answer_tokens - 1, 0) for answer in answers)
    assert 2 * beginning + behind <= engine.read <= 2 * beginning + behind + decoded + 30
    assert len({each.probabilities for each in found.asked}) > 3  # the pictures matter


@pytest.mark.parametrize('request_', ['Is it?', '<image>Left\n<image>\nIs it?', '<image>Is it?'])
def test_a_prompt_may_have_any_number_of_pictures(tmp_path: Path, request_: str) -> None:
    """Its replies are those to the same prompt read at once, straight by an engine."""
    engine = TorchEngine(small_network())
    tokenizer = load_tokenizer(make_model(tmp_path / 'model'), CONFIG.text.vocab_size)
    asked = turn(request_, 'Yes')
    pictures = []
    for seed in range(request_.count('<image>')):
        pictures.append(tmp_path / f'{seed}.png')
        picture = np.random.default_rng(seed).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(picture).save(pictures[-1])
    conversation = Dialogue('test', '[0]', 'a', tuple(pictures), (asked,), 'yes_no')
    sample = label(conversation, tokenizer, CONFIG, 'v0')
    (found,) = validate(small_network(), tokenizer, [sample], 1, 0, 'fp32', 'cpu').asked

    left = iter(pictures)
    parts = prompt_tokens(tokenizer, v0_prompt([Turn(asked.request)]), CONFIG.text.eos_token_id)
    embeddings = [
        engine.embed(part)
        if isinstance(part, list)
        else engine.encode(preprocess(read_picture(next(left)), CONFIG))
        for part in parts
    ]
    logits = engine.prefill(np.concatenate(embeddings), engine.new_cache())
    offered = [encode(tokenizer, f' {text}')[0] for text in ('Yes', 'No', 'cannot tell')]
    assert len(set(offered)) == 3
    wanted = softmax(logits[offered] / CONFIG.temperature)[:2]
    np.testing.assert_allclose(found.probabilities, wanted, atol=1e-5)
