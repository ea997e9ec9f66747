"""Answers per second of an offline replay beside a plain loop over transformers' generate."""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.load import find_checkpoint, load
from ros2_llava_phi.assistant.question import request_text
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.model.checkpoint import load_network, open_checkpoint
from ros2_llava_phi.model.convert import convert
from ros2_llava_phi.model.prompt import ASSISTANT, SYSTEM, USER
from ros2_llava_phi.replay.asking import Asking
from ros2_llava_phi.replay.offline import replay_offline
from ros2_llava_phi.replay.questions import QuestionsFile

DRIVE = Path(__file__).resolve().parents[1] / 'ros2_llava_phi' / 'data' / 'drive'
THINGS = ('car', 'truck', 'bus', 'pedestrian', 'stop sign', 'traffic light', 'traffic cone')
CHOICES = {
    'What is the weather?': ['clear', 'rain', 'fog'],
    'Is it day or night?': ['day', 'night'],
    'What should the car do?': ['stop', 'slow down', 'drive on'],
    'What colour is the traffic light?': ['red', 'yellow', 'green'],
}


class Row(NamedTuple):
    """How many answers there were, in how many seconds, and how many a second."""

    name: str
    answers: int
    seconds: float
    rate: float


def questions(every_s: float) -> QuestionsFile:
    """Return twenty questions about each frame: yes/no, choices, numbers and free texts."""
    asked: list[dict[str, Any]] = [
        {'question': f'Is there a {thing}?', 'kind': 'yes_no'} for thing in THINGS
    ]
    asked += [
        {'question': text, 'kind': 'yes_no'}
        for text in ('Is it raining?', 'Is someone on the crossing?', 'Is our lane free?')
    ]
    asked += [
        {'question': text, 'kind': 'choice', 'choices': choices}
        for text, choices in CHOICES.items()
    ]
    counted = (f'How many {thing}s are there?' for thing in THINGS[:3])
    asked += [{'question': text, 'kind': 'number'} for text in counted]
    free = ('What colour is the car?', 'What is in our lane?', 'What is ahead?')
    asked += [{'question': text} for text in free]
    assert len(asked) == 20
    common = {'camera': 'front', 'max_tokens': 16, 'when': {'every_s': every_s}}
    return QuestionsFile.model_validate({'questions': [{**each, **common} for each in asked]})


def ours(asking: Asking, model: str, engine: str) -> tuple[int, float]:
    """Return how many answers the replay gives, and in how many seconds."""
    assistant = load(model, engine)
    assistant.look(Frame(first_picture(asking)))
    start = time.perf_counter()
    count = sum(len(records) for records in replay_offline(asking, assistant))
    return count, time.perf_counter() - start


@torch.inference_mode()
def theirs(asking: Asking, model: str) -> tuple[int, float]:
    """Return the same of a loop that has transformers answer each question by itself."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / 'hf'
        convert(open_checkpoint(find_checkpoint(model)), out, 'hf')
        network: Any = LlavaForConditionalGeneration.from_pretrained(out, dtype=torch.float32)
        # The head's bias, which its class has dropped.
        network.lm_head = load_network(out).decoder.lm_head
        processor = AutoProcessor.from_pretrained(out)
    network.eval()
    picture = Image.fromarray(first_picture(asking))
    answer(network, processor, picture, 'Is there a car?', 2)
    start, count = time.perf_counter(), 0
    for frame, due in asking.frames():
        for index in due:
            image = Image.fromarray(frame.frame().image)
            question = asking.questions[index]
            answer(
                network,
                processor,
                image,
                request_text(question.to_question()),
                question.max_tokens,
            )
            count += 1
    return count, time.perf_counter() - start


def answer(network: Any, processor: Any, image: Image.Image, text: str, max_tokens: int) -> str:
    """Return transformers' answer to one question about one picture."""
    prompt = f'{SYSTEM} {USER}<image>\n{text}{ASSISTANT}'
    inputs = processor(images=image, text=prompt, return_tensors='pt')
    tokens = network.generate(**inputs, max_new_tokens=max_tokens, do_sample=False)
    said: str = processor.decode(tokens[0, inputs['input_ids'].shape[1] :], True)
    return said.strip()


def first_picture(asking: Asking) -> Any:
    """Return the first picture of the recording."""
    frame, _ = next(iter(asking.frames()))
    return frame.frame().image


def show(name: str, count: int, seconds: float) -> Row:
    """Print one line, and return it."""
    print(f'{name:<34}{count:>6} answers {seconds:>8.2f} s {count / seconds:>8.1f} a second')
    return Row(name, count, seconds, count / seconds)


def measure(model: str, every_s: float, engines: Sequence[str]) -> list[Row]:
    """Measure our engines and theirs over the same frames, one after another."""
    asking = Asking(Recording(DRIVE), questions(every_s))
    rows = [show(f'replay, {engine}', *ours(asking, model, engine)) for engine in engines]
    rows.append(show('transformers, generate in a loop', *theirs(asking, model)))
    for name, _, _, rate in rows[:-1]:
        print(f'{name}: {rate / rows[-1].rate:.1f} times as many')
    return rows


def main() -> None:
    """Measure, print, and write the figures to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', default='llava-phi-tiny', help='checkpoint [%(default)s]')
    parser.add_argument('--every', type=float, default=4.0, help='seconds [%(default)s]')
    parser.add_argument('--json', type=Path, help='write the figures to this file, too')
    chosen = parser.parse_args()
    rows = measure(chosen.model, chosen.every, ('onnxruntime', 'torch'))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([row._asdict() for row in rows], indent=2) + '\n')


if __name__ == '__main__':
    main()
