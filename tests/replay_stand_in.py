"""What the tests of replay share: a scripted assistant, and small recordings."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ros2_llava_phi.assistant.answer import Answer, ModelIdentity, Timings
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.question import Kind, Question
from ros2_llava_phi.bags.bag import Storage, Transport
from ros2_llava_phi.bags.bag_writer import write_bag
from ros2_llava_phi.errors import QuestionError

IDENTITY = ModelIdentity('scripted', '0123456789abcdef' * 4, 'script', 'fp32', 'cpu', 32, 4, 256)
START_NS = 1_700_000_000 * 10**9
PERIOD_NS = 500_000_000


class Scripted:
    """Says whether a picture is red; refuses 'too long'; counts what it is asked."""

    def __init__(self) -> None:
        self.identity = IDENTITY
        self.looked: list[Frame] = []
        self.asked: list[tuple[int, str]] = []

    def look(self, frame: Frame, check: bool = True) -> Any:
        self.looked.append(frame)
        return frame

    def ask_all(self, view: Any, questions: Sequence[Question]) -> list[Answer | QuestionError]:
        answers: list[Answer | QuestionError] = []
        for question in questions:
            try:
                answers.append(self.ask(view, question))
            except QuestionError as error:
                answers.append(error)
        return answers

    def ask(self, view: Any, question: Question) -> Answer:
        if question.text == 'too long':
            raise QuestionError('the question takes too many tokens')
        self.asked.append((view.stamp_ns, question.text))
        red, _, blue = (float(each) for each in view.image.mean(axis=(0, 1)))
        is_red = red > blue
        closed = question.kind == Kind.YES_NO
        dark = closed and max(red, blue) < 20
        yes, no = (0.1, 0.1) if dark else (0.9, 0.1) if is_red else (0.2, 0.8)
        words = ('Yes' if is_red else 'No') if closed else 'red' if is_red else 'blue'
        return Answer(
            question=question,
            text='cannot tell' if dark else words,
            value=is_red if closed and not dark else None,
            confidence=0.8 if dark else max(yes, no),
            timings=Timings(encode=0.25, prefill=0.125),
            prompt_tokens=10,
            answer_tokens=0,
            model=self.identity,
            allowed=('Yes', 'No') if closed else (),
            probabilities=(yes, no) if closed else (),
            abstain_reason='the picture does not tell' if dark else '',
        )


def picture(name: str) -> Any:
    """Return a picture of one colour: red, blue or black."""
    colours = {'red': (220, 0, 0), 'blue': (0, 0, 220), 'black': (0, 0, 0)}
    return np.full((24, 32, 3), colours[name], np.uint8)


def write_recording(
    path: Path,
    colours: Sequence[str],
    *,
    storage: Storage = Storage.MCAP,
    zstd: bool = False,
    topic: str = '/front/image',
    stamps: Sequence[int] = (),
) -> Path:
    """Write a recording of one camera, two frames a second, in these colours."""

    def frames() -> Iterator[tuple[str, Frame]]:
        for index, colour in enumerate(colours):
            stamp_ns = stamps[index] if stamps else START_NS + index * PERIOD_NS
            yield topic, Frame(picture(colour), stamp_ns, 'front_optical')

    write_bag(path, storage, frames(), transport=Transport.RAW, zstd=zstd)
    return path


QUESTIONS = """
questions:
  - question: Is it red?
    kind: yes_no
    truth:
      - {to_s: 2, answers: yes}
      - {from_s: 2, answers: no}
  - question: What colour is it?
    when: {every_s: 1}
    truth: [{answers: [red, crimson]}]
"""
COLOURS = ('red', 'red', 'red', 'blue', 'blue', 'blue', 'black', 'red')
