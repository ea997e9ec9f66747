"""A running vqa_node as a robot of a live replay: its cameras, its clock, its service."""

from collections.abc import Collection, Sequence
from typing import Any

from builtin_interfaces.msg import Time
from rcl_interfaces.srv import GetParameters
from rclpy.expand_topic_name import expand_topic_name

from ros2_llava_phi.assistant.answer import ModelIdentity
from ros2_llava_phi.assistant.question import Kind, Question
from ros2_llava_phi.bags.bag import RawMessage, camera_topic
from ros2_llava_phi.bags.stamps import from_ns, to_ns, to_seconds
from ros2_llava_phi.errors import ClientError, NoResponseError

from .ask_client import ASK_PATIENCE_S, AskClient, error_name, make_request, to_answer, to_identity
from .player import OthersClock, OwnClock, Player, RecordingClock
from .robot import PlayedCamera, Response

# Longest wait for an active node.
START_PATIENCE_S = 60.0


class NodeUnderTest:
    """A vqa_node to which recordings are played: its robot's cameras and clock."""

    def __init__(self, client: AskClient, rate: float | None = 1.0) -> None:
        """
        Play to the node that the client asks, from the client's own node.

        rate: times the recorded rate; None if somebody else plays, as `ros2 bag play` does.
        """
        self._client = client
        self.plays = rate is not None
        self._clock: RecordingClock = (
            OthersClock(client.ros_node) if rate is None else OwnClock(client.ros_node, rate)
        )
        self._player = Player(client.ros_node, self._clock)
        # By topic of the recording, what the node calls its camera.
        self._cameras: dict[str, str] = {}

    def wait_until_ready(self, cameras: Collection[PlayedCamera]) -> ModelIdentity:
        """
        Return which model answers, once the node is active and listens to these cameras.

        Raises ClientError, and NoResponseError, which is one.
        """
        self._client.wait_until_active(START_PATIENCE_S)
        if not self._uses_sim_time():
            raise ClientError(
                f'{self._client.target} goes by its own clock, but the recording has its own '
                'time; start the node with `--ros-args -p use_sim_time:=true`'
            )
        self._find_cameras(cameras)
        if self.plays:
            self._player.connect({each.topic: each.type for each in cameras})
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

    def ask(self, question: Question, topic: str, oldest_stamp_ns: int) -> Response:
        """
        Return the node's response about the camera on a topic.

        Its error is NO_RESPONSE if it does not respond in time, OTHER_CAMERA if it answers about
        another camera.
        """
        camera = self._cameras[topic]
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
        if answer.camera != camera:
            sentence = f'asked about the camera {camera}, the node answered about {answer.camera}'
            return Response(None, 'OTHER_CAMERA', sentence)
        return Response(
            answer=to_answer(answer, question, model),
            stamp_ns=to_ns(answer.header.stamp),
            frame_age=to_seconds(answer.frame_age),
            queue=to_seconds(answer.queue_time),
        )

    def _uses_sim_time(self) -> bool:
        values = self._parameters(['use_sim_time'])
        return bool(values and values[0].bool_value)

    def _find_cameras(self, cameras: Collection[PlayedCamera]) -> None:
        """Learn what the node calls these cameras; raises ClientError for one that it lacks."""
        known = self._known_cameras()
        for each in cameras:
            # Parameters do not tell where a remapping leads; then, the name must be the same.
            found = [name for name, topic in known.items() if topic == each.topic] or [
                name
                for name, topic in known.items()
                if name in each.names and self._listens(each.topic) and not self._listens(topic)
            ]
            if not found:
                has = ', '.join(f'{name} on {topic}' for name, topic in known.items())
                raise ClientError(
                    f'{self._client.target} has no camera on {each.topic}, but {has or "none"}; '
                    f'name the topic as a parameter: `-p NAME.topic:={each.topic}`'
                )
            named_alike = [name for name in found if name in each.names]
            self._cameras[each.topic] = (named_alike or found)[0]

    def _listens(self, topic: str) -> bool:
        """Return whether the node subscribes to a topic, as far as is known by now."""
        subscribers = self._client.ros_node.get_subscriptions_info_by_topic(topic)
        names = [f'{each.node_namespace}/{each.node_name}' for each in subscribers]
        return self._client.target in [name.replace('//', '/') for name in names]

    def _known_cameras(self) -> dict[str, str]:
        """Return the node's cameras and their topics, as its parameters have them."""
        namespace, _, node = self._client.target.rpartition('/')
        values = self._parameters(['cameras'])
        names = list(values[0].string_array_value) if values else []
        known = {}
        for name in names:
            own = self._parameters([f'{name}.topic', f'{name}.transport'])
            topic, transport = (each.string_value for each in own) if own else ('', 'raw')
            relative = topic or camera_topic(name, transport)
            known[name] = expand_topic_name(relative, node, namespace or '/')
        return known

    def _parameters(self, names: Sequence[str]) -> Sequence[Any]:
        """Return parameters of the node; nothing where it does not have all of them."""
        request = GetParameters.Request(names=names)
        return self._client.get_parameters(request, ASK_PATIENCE_S).values
