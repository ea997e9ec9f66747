"""What goes into messages, and what must not."""

import pytest
from node_stand_in import IDENTITY

pytest.importorskip('llava_phi')

from llava_phi.msg import Answer as AnswerMessage
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header

from ros2_llava_phi.assistant.answer import Answer, Timings
from ros2_llava_phi.assistant.question import Kind, Question
from ros2_llava_phi.node.messages import answer_message, safe_text, seconds


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
    assert message.prefill_view_time.nanosec == seconds(0.25)
    assert message.prefill_time.nanosec == seconds(0.125)
    assert message.decode_time.nanosec == seconds(0.0625)
    assert message.queue_time.nanosec == seconds(0.5)
