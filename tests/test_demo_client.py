"""The client gets each caller its own answer, and never waits for ever."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip('llava_phi.srv')

from llava_phi.srv import Ask
from rclpy.client import Client
from rclpy.context import Context
from rclpy.node import Node
from rclpy.task import Future
from scripted_node import ScriptedNode

from ros2_llava_phi.assistant.question import Kind
from ros2_llava_phi.bags.stamps import to_seconds
from ros2_llava_phi.client.ask_client import AskClient, make_request
from ros2_llava_phi.errors import NoResponseError


@pytest.fixture
def node(ros: Context, spin: Callable[[Node], None]) -> ScriptedNode:
    """Return a scripted node, spinning."""
    node = ScriptedNode(context=ros)
    spin(node)
    return node


@pytest.fixture
def client(ros_domain: int) -> Iterator[AskClient]:
    """Make a client of the scripted node."""
    with AskClient() as client:
        yield client


def test_an_answer_comes_back(node: ScriptedNode, client: AskClient) -> None:
    client.wait_until_active(20.0)
    assert client.model_info(20.0).name == 'scripted'
    response = client.ask(make_request('what?', Kind.NUMBER), 20.0)
    assert response.error_code == Ask.Response.NONE
    assert (response.answer.text, response.answer.kind) == ('what?', Kind.NUMBER)


def test_many_callers_each_get_their_own_answer(node: ScriptedNode, client: AskClient) -> None:
    questions = [f'question {index}' for index in range(60)]
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda text: client.ask(make_request(text), 30.0), questions))
    assert [response.answer.text for response in responses] == questions


def test_silence_ends_and_the_client_goes_on(node: ScriptedNode, client: AskClient) -> None:
    client.wait_until_active(20.0)
    with pytest.raises(NoResponseError, match=r'/vqa_node/ask did not respond within 0\.5 s'):
        client.ask(make_request('silence'), 0.5)
    assert client.ask(make_request('again: here'), 20.0).answer.text == 'here'


def test_a_response_that_is_lost_is_asked_for_again(
    node: ScriptedNode, client: AskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, sent = Client.call_async, list[Future]()

    def losing_the_first(self: Client, request: Any) -> Future:
        sent.append(send(self, request) if sent else Future())
        return sent[-1]

    monkeypatch.setattr(Client, 'call_async', losing_the_first)
    monkeypatch.setattr('ros2_llava_phi.client.ask_client.ASK_AGAIN_S', 0.5)
    client.wait_until_active(20.0)
    assert len(sent) > 1 and not sent[0].done()


def test_a_node_that_is_not_there(client: AskClient) -> None:
    with pytest.raises(NoResponseError, match='there is no service /vqa_node/ask'):
        client.ask(make_request('anybody?'), 0.3)
    with pytest.raises(NoResponseError, match='/vqa_node is not to be found, not active, after'):
        client.wait_until_active(0.3)
    with pytest.raises(NoResponseError, match='silent'):
        client.model_info(0.3)


def test_closing_leaves_no_thread(ros_domain: int) -> None:
    with AskClient(name='leaving'):
        assert any(thread.name == 'leaving' for thread in threading.enumerate())
    assert not any(thread.name == 'leaving' for thread in threading.enumerate())


def test_requests_hold_what_was_asked_for() -> None:
    request = make_request(
        'Which?',
        Kind.CHOICE,
        camera='rear',
        choices=('red', 'blue'),
        max_frame_age_s=0.25,
        timeout_s=2.000000001,
        max_tokens=7,
    )
    assert (request.question, request.kind, request.camera) == (
        'Which?',
        Ask.Request.CHOICE,
        'rear',
    )
    assert (request.choices, request.max_tokens) == (['red', 'blue'], 7)
    assert to_seconds(request.max_frame_age) == 0.25
    assert (request.timeout.sec, request.timeout.nanosec) == (2, 1)
