"""What goes into messages, and what must not."""

import re
from pathlib import Path
from typing import Any

import pytest
from node_stand_in import IDENTITY

pytest.importorskip('llava_phi')

from llava_phi.msg import Answer as AnswerMessage
from llava_phi.srv import Ask
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header

from ros2_llava_phi.assistant.answer import YES_NO, Answer, CutShort, Timings
from ros2_llava_phi.assistant.question import Kind, Question
from ros2_llava_phi.bags.stamps import in_ns
from ros2_llava_phi.client.ask_client import constants, error_name, to_answer, to_identity
from ros2_llava_phi.node.messages import (
    answer_message,
    model_info_message,
    safe_text,
)


@pytest.mark.parametrize(
    ('text', 'safe'),
    [
        ('grün 🚗', 'grün 🚗'),
        ('before\0after', 'before\ufffdafter'),
        ('half \ud83d', 'half \ufffd\ufffd\ufffd'),
    ],
)
def test_every_text_survives_the_wire(text: str, safe: str) -> None:
    assert safe_text(text) == safe
    sent = AnswerMessage(text=safe_text(text))
    assert deserialize_message(serialize_message(sent), AnswerMessage).text == safe


def test_an_answer_that_abstains_has_no_value() -> None:
    answer = Answer(
        question=Question('how many?', Kind.NUMBER),
        text='cannot tell',
        value=None,
        confidence=0.9,
        timings=Timings(1.5, 0.25, 0.125, 0.0625),
        prompt_tokens=7,
        answer_tokens=0,
        model=IDENTITY,
        abstain_reason='the frame is black: it shows nothing',
    )
    message = answer_message(answer, Header(frame_id='x'), 'front', 1_500_000_000, 0.5)
    assert message.abstained and message.abstain_reason == answer.abstain_reason
    assert message.number != message.number and message.choice_index == -1 and not message.yes
    assert (message.frame_age.sec, message.frame_age.nanosec) == (1, 500_000_000)
    assert (message.encode_time.sec, message.encode_time.nanosec) == (1, 500_000_000)
    assert message.prefill_view_time.nanosec == in_ns(0.25)
    assert message.prefill_time.nanosec == in_ns(0.125)
    assert message.decode_time.nanosec == in_ns(0.0625)
    assert message.queue_time.nanosec == in_ns(0.5)


@pytest.mark.parametrize(
    ('question', 'value', 'more'),
    [
        (Question('What?'), None, {'cut_short': CutShort.TOKEN_LIMIT}),
        (
            Question('Is it?', Kind.YES_NO),
            True,
            {'allowed': YES_NO, 'probabilities': (0.75, 0.125)},
        ),
        (Question('Which?', Kind.CHOICE, ('a', 'b')), 1, {'allowed': ('a', 'b')}),
        (Question('How many?', Kind.NUMBER), 2.5, {}),
        (Question('How many?', Kind.NUMBER), None, {'abstain_reason': 'the picture is black'}),
        (Question('Which?', Kind.CHOICE, ('a', 'b')), None, {'abstain_reason': 'it is black'}),
    ],
)
def test_a_client_gets_the_answer_that_the_assistant_gave(
    question: Question, value: bool | int | float | None, more: dict[str, Any]
) -> None:
    timings = Timings(1.5, 0.25, 0.125, 0.0625)
    answer = Answer(question, 'words', value, 0.75, timings, 7, 3, IDENTITY, **more)
    message = answer_message(answer, Header(), 'front', 0, 0.0)
    received = deserialize_message(serialize_message(message), AnswerMessage)
    assert to_answer(received, question, to_identity(model_info_message(IDENTITY))) == answer


def test_names_are_those_of_the_interface() -> None:
    text = (Path(__file__).parent.parent / 'srv' / 'Ask.srv').read_text()
    request, response = text.split('---')
    for said, interface in ((request, Ask.Request), (response, Ask.Response)):
        written = re.findall(r'^uint\d+ ([A-Z_]+)=(\d+)', said, re.MULTILINE)
        assert constants(interface) == {int(number): name for name, number in written}
    assert set(constants(Ask.Request).values()) == {kind.name for kind in Kind}
    assert set(constants(AnswerMessage).values()) == {why.name for why in CutShort}
    assert error_name(Ask.Response.TIMEOUT) == 'TIMEOUT'
    assert (error_name(Ask.Response.NONE), error_name(999)) == ('', 'error 999')
