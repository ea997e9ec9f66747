"""A running vqa_node as a live replay sees it: its cameras, its clock, its service."""

from dataclasses import dataclass

from builtin_interfaces.msg import Time
from rcl_interfaces.srv import GetParameters

from ros2_llava_phi.assistant.answer import Answer, ModelIdentity
from ros2_llava_phi.assistant.question import Kind, Question
from ros2_llava_phi.bags.bag import RawMessage
from ros2_llava_phi.bags.stamps import from_ns, to_ns, to_seconds
from ros2_llava_phi.errors import ClientError, NoResponseError

from .ask_client import ASK_PATIENCE_S, AskClient, error_name, make_request, to_answer, to_identity
from .player import OthersClock, OwnClock, Player, RecordingClock

# Longest wait for an active node.
START_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Response:
    """
    What a node responded.

    answer: None where there is none; `error` and `error_text` then say why.
    error: name of the code as in Ask.srv, or NO_RESPONSE.
    stamp_ns: of the frame that was looked at.
    frame_age: its age in seconds when it was picked, by the recording's clock.
    queue: seconds spent waiting for the model.
    """

    answer: Answer | None
    error: str = ''
    error_text: str = ''
    stamp_ns: int = 0
    frame_age: float = 0.0
    queue: float = 0.0


class NodeUnderTest:
    """A vqa_node to which recordings are played: its robot's cameras and clock."""

    def __init__(self, client: AskClient, rate: float | None = 1.0) -> None:
        """
        Play to the node that the client asks, from the client's own node.

        rate: times the recorded rate; None if somebody else plays, as `ros2 bag play` does.
        """
        self._client = client
        self._plays = rate is not None
        self._clock: RecordingClock = (
            OthersClock(client.ros_node) if rate is None else OwnClock(client.ros_node, rate)
        )
        self._player = Player(client.ros_node, self._clock)

    def wait_until_ready(self, topics: dict[str, str]) -> ModelIdentity:
        """
        Return which model answers, once the node is active and listens to these topics.

        topics: the message type of each.

        Raises ClientError, and NoResponseError, which is one.
        """
        self._client.wait_until_active(START_PATIENCE_S)
        if not self._uses_sim_time():
            raise ClientError(
                f'{self._client.target} goes by its own clock, but the recording has its own '
                'time; start the node with `--ros-args -p use_sim_time:=true`'
            )
        if self._plays:
            self._player.connect(topics)
        return to_identity(self._client.model_info(START_PATIENCE_S))

    def begin(self) -> None:
        """Begin another recording."""
        self._clock.begin()

    def wait_for(self, time_ns: int) -> None:
        """Return when the recording's time has come; raises NoResponseError if it stands still."""
        self._clock.wait_for(time_ns)

    def idle(self) -> None:
        """Let a moment pass."""
        self._clock.idle()

    def show(self, message: RawMessage) -> None:
        """Publish a camera's message as it was recorded, unless somebody else does."""
        self._player.show(message)

    def ask(self, question: Question, camera: str, oldest_stamp_ns: int) -> Response:
        """Return the node's response; NO_RESPONSE if it does not respond in time."""
        request = make_request(
            question.text,
            question.kind,
            camera=camera,
            choices=question.choices,
            max_tokens=question.max_tokens if question.kind == Kind.FREE_TEXT else 0,
        )
        request.oldest_stamp = from_ns(Time, oldest_stamp_ns)
        try:
            response = self._client.ask(request, ASK_PATIENCE_S)
            model = to_identity(self._client.model_info(ASK_PATIENCE_S))
        except NoResponseError as error:
            return Response(None, 'NO_RESPONSE', str(error))
        if response.error_code:
            return Response(None, error_name(response.error_code), response.error_text)
        answer = response.answer
        return Response(
            answer=to_answer(answer, question, model),
            stamp_ns=to_ns(answer.header.stamp),
            frame_age=to_seconds(answer.frame_age),
            queue=to_seconds(answer.queue_time),
        )

    def _uses_sim_time(self) -> bool:
        request = GetParameters.Request(names=['use_sim_time'])
        values = self._client.get_parameters(request, ASK_PATIENCE_S).values
        return bool(values and values[0].bool_value)
