"""A live run: over ROS the same answers as offline, and what a robot would see is measured."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from replay_stand_in import COLOURS, IDENTITY, QUESTIONS, START_NS, write_recording
from video_packets import PERIOD_NS as VIDEO_PERIOD_NS
from video_packets import START_NS as VIDEO_START_NS
from video_packets import encode, number_of, write_video

from ros2_llava_phi.assistant.answer import Answer, Timings
from ros2_llava_phi.assistant.question import Question
from ros2_llava_phi.bags.bag import COMPRESSED_IMAGE, FFMPEG_PACKET, RawMessage, Storage
from ros2_llava_phi.bags.bag_writer import write_bag
from ros2_llava_phi.bags.camera_messages import CameraMessages
from ros2_llava_phi.bags.clock import was_set_back
from ros2_llava_phi.bags.ground_truth import read_ground_truth
from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.client.pace import Pace
from ros2_llava_phi.client.robot import PlayedCamera, Response
from ros2_llava_phi.imaging.image_conversion import compressed_to_rgb
from ros2_llava_phi.replay.asking import Asking
from ros2_llava_phi.replay.live import replay_live
from ros2_llava_phi.replay.read_questions import read_questions
from ros2_llava_phi.replay.record import Record, is_right, is_scored
from ros2_llava_phi.replay.results import read_results
from ros2_llava_phi.replay.runs import open_recordings, run_live, run_offline

DATA = Path(__file__).parents[1] / 'ros2_llava_phi' / 'data'
RATE = 20.0


class ScriptedRobot:
    """Answers about its newest frame; the first time it is asked about one, it has not come."""

    plays = True

    def __init__(self) -> None:
        self.times: list[int] = []
        self.shown: list[int] = []
        self.asked: list[int] = []
        self.release = threading.Event()

    def begin(self) -> None:
        self.pace = Pace(self.times.append, RATE)

    def wait_for(self, time_ns: int) -> None:
        self.pace.wait_for(time_ns)

    def idle(self) -> None:
        self.pace.idle()

    def show(self, message: RawMessage) -> None:
        self.shown.append(CameraMessages(()).read(message).stamp_ns)
        if len(self.shown) == len(COLOURS):
            self.release.set()

    def ask(self, question: Question, topic: str, oldest_stamp_ns: int) -> Response:
        self.asked.append(oldest_stamp_ns)
        if self.asked.count(oldest_stamp_ns) == 1:
            return Response(None, 'STALE_FRAME', 'not there yet')
        if question.text == 'hold':
            self.release.wait(10)
        if question.text == 'refuse':
            return Response(None, 'QUEUE_FULL', 'too many questions')
        red = Answer(question, 'red', None, 0.9, Timings(), 10, 1, IDENTITY)
        stamp_ns = 5 if question.text == 'of another' else self.shown[-1]
        return Response(red, stamp_ns=stamp_ns, frame_age=0.25, queue=0.5)


def ask(folder: Path, questions: str) -> tuple[ScriptedRobot, list[Record]]:
    (folder / 'q.yaml').write_text(questions)
    recording = Recording(write_recording(folder / 'bag', COLOURS))
    robot = ScriptedRobot()
    asking = Asking(recording, read_questions(folder / 'q.yaml'))
    return robot, [record for group in replay_live(asking, robot) for record in group]


def test_what_a_robot_sees_is_recorded(tmp_path: Path) -> None:
    robot, records = ask(tmp_path, QUESTIONS)
    assert robot.shown == [START_NS + index * 500_000_000 for index in range(8)]
    assert robot.times == sorted(robot.times)
    assert robot.times[0] >= START_NS and robot.times[-1] >= robot.shown[-1]
    assert len(records) == 12 and {each.error for each in records} <= {'', 'SKIPPED'}
    # Each was asked again until its frame was there, and the wait counts.
    for record in (each for each in records if not each.error):
        assert record.live is not None
        assert (record.live.frame_age, record.live.queue) == (0.25, 0.5)
        assert record.live.latency > 0
        assert record.frame >= record.live.due


def test_a_video_is_shown_as_jpeg_and_what_it_lost_is_refused_here(tmp_path: Path) -> None:
    packets = encode('h264', count=30, gop=10)
    lost = packets[:13] + packets[14:]
    bag = write_video(tmp_path / 'bag', [each.data for each in lost], FFMPEG_PACKET, 'libx264')
    (tmp_path / 'q.yaml').write_text('[{question: "What?"}]')
    recording = Recording(bag)
    asking = Asking(recording, read_questions(tmp_path / 'q.yaml'))
    assert recording.has_video('/front/video')
    shown: list[tuple[int, int]] = []

    class Watching(ScriptedRobot):
        def show(self, message: RawMessage) -> None:
            assert message.type == COMPRESSED_IMAGE
            said = CameraMessages(()).read(message)
            assert said.picture.format == 'jpeg' and said.frame_id == 'front_optical'
            shown.append((said.stamp_ns, number_of(compressed_to_rgb(said.picture))))
            super().show(message)

    records = [record for group in replay_live(asking, Watching()) for record in group]
    whole = [*range(13), *range(19, 29)]
    expected = [(VIDEO_START_NS + each * VIDEO_PERIOD_NS, lost[each].number) for each in whole]
    assert shown == expected
    refused = {each.frame: each.error_text for each in records if each.error == 'BAD_FRAME'}
    assert set(refused) == set(range(13, 19))
    assert "in the format 'libx264', pictures that it builds on are missing" in refused[13]


def test_a_question_is_not_asked_while_its_answer_is_awaited(tmp_path: Path) -> None:
    questions = '[{question: hold, truth: [{to_s: 3.5, answers: blue}, {answers: red}]}]'
    _, records = ask(tmp_path, questions)
    assert [each.error for each in records] == ['SKIPPED'] * 7 + ['']
    # It was asked about the first frame, and looked at the last one: the truth is that one's.
    answered = records[-1]
    assert answered.live is not None and answered.live.due == 0
    assert (answered.frame, answered.truth) == (7, ('red',))


def test_refusals_are_recorded_by_their_code(tmp_path: Path) -> None:
    _, records = ask(tmp_path, '[{question: refuse, when: {at_s: [0, 2]}}]')
    assert [(each.error, each.error_text) for each in records] == [
        ('QUEUE_FULL', 'too many questions')
    ] * 2


def test_an_answer_about_a_frame_that_the_camera_does_not_have_is_not_scored(
    tmp_path: Path,
) -> None:
    _, (record,) = ask(
        tmp_path, '[{question: of another, truth: [{answers: red}], when: {at_s: [0]}}]'
    )
    assert record.error == 'OTHER_FRAME' and not is_scored(record)
    assert record.error_text == (
        'the frame of 5 ns that was looked at is none of /front/image in the recording'
    )


def played(bag: Path, *names: str) -> list[PlayedCamera]:
    """Return the cameras of a recording, all of these names."""
    return [PlayedCamera(*each, names) for each in Recording(bag).image_topics().items()]


def short_drive(path: Path, seconds: float, *cameras: str) -> Path:
    """Write the beginning of what some cameras of the packaged drive saw."""
    topics = {camera: f'/{camera}/image_raw/compressed' for camera in cameras}
    recorded = list(Recording(DATA / 'drive').frames(topics))
    end_ns = recorded[0].stamp_ns + seconds * 1e9
    frames = [(topics[each.camera], each.frame()) for each in recorded if each.stamp_ns < end_ns]
    write_bag(path, Storage.SQLITE3, frames)
    return path


def test_a_clock_that_is_late_goes_on_and_one_that_was_set_back_begins_anew() -> None:
    times: list[int] = []
    pace = Pace(times.append, 1000.0)
    pace.wait_for(START_NS)
    time.sleep(0.02)  # 20 s of the recording: who waits is late by more than the rule's second
    pace.wait_for(START_NS + 10**9)
    assert times[-1] >= START_NS + 19 * 10**9
    assert times == sorted(times)
    pace.wait_for(START_NS - 1)
    assert START_NS - 1 <= times[-1] < START_NS + 10**9
    assert was_set_back(START_NS - 1, START_NS + 10**9)
    assert not was_set_back(START_NS, START_NS + 10**9)


def test_a_recording_that_starts_over_happens_now_too() -> None:
    pytest.importorskip('llava_phi.srv')
    from ros2_llava_phi.client.player import PresentClock

    clock = PresentClock()
    for time_ns in (START_NS + 10**10, START_NS, START_NS + 10**6):
        clock.wait_for(time_ns)
        assert abs(time.time_ns() - (time_ns + clock.shift_ns)) < 10**9


DRIVE_QUESTIONS = """
cameras: {front: /front/image_raw/compressed}
questions:
  - {question: "Is there a car?", kind: yes_no, camera: front}
  - {question: What is the weather, kind: choice, choices: [clear, rain], camera: front}
  - {question: How many cars are there, kind: number, camera: front}
  - {question: What colour is the car, camera: front, when: {every_s: 0.4}}
"""


def play(robot: Any, bag: Path) -> None:
    """Play a recording to a node, and go on with the clock until the test's end is near."""
    robot.begin()
    messages = [each.message for each in Recording(bag).frames()]
    for message in messages:
        robot.wait_for(message.recorded_ns)
        robot.show(message)
    robot.wait_for(messages[-1].recorded_ns + 10**9)


def test_who_is_waited_for_is_said(
    ros_domain: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip('llava_phi.srv')
    from ros2_llava_phi.cli.main import main
    from ros2_llava_phi.client import node_under_test

    monkeypatch.setattr(node_under_test, 'START_PATIENCE_S', 0.1)
    bag = write_recording(tmp_path / 'bag', COLOURS)
    (tmp_path / 'q.yaml').write_text(QUESTIONS)
    arguments = [
        'replay',
        bag,
        '--questions',
        tmp_path / 'q.yaml',
        '-o',
        tmp_path / 'out',
        '--live',
    ]
    monkeypatch.setattr(sys, 'argv', ['llava-phi', *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    waits, gives_up = capsys.readouterr().err.splitlines()
    assert waits == 'Waiting for /vqa_node to be active, for 0.1 s at most'
    assert gives_up == 'llava-phi: /vqa_node is not to be found, not active, after 0.1 s'
    assert not (tmp_path / 'out').exists()


def test_offline_and_live_agree(ros_domain: int, tmp_path: Path) -> None:
    pytest.importorskip('llava_phi.srv')
    from ros2_llava_phi.client.ask_client import AskClient
    from ros2_llava_phi.client.node_under_test import NodeUnderTest
    from ros2_llava_phi.client.process import camera_parameters, running_node
    from ros2_llava_phi.errors import ClientError

    bag = short_drive(tmp_path / 'drive', 2, 'front')
    (tmp_path / 'q.yaml').write_text(DRIVE_QUESTIONS)
    questions = read_questions(tmp_path / 'q.yaml')
    askings = open_recordings([bag], questions)
    topics = Recording(bag).image_topics()
    parameters = camera_parameters({'front': next(iter(topics))}, 'compressed')
    with (tmp_path / 'log').open('w') as log, AskClient(name='replay') as client:
        robot = NodeUnderTest(client)
        with running_node([*parameters, '-p', 'use_sim_time:=true'], log):
            identity = robot.wait_until_ready(played(bag))
            run_live(askings, robot, identity, tmp_path / 'live', 'live')
            # Somebody else plays, and this one only asks.
            with AskClient(name='listener') as listener, ThreadPoolExecutor(1) as threads:
                listening = NodeUnderTest(listener, rate=None)
                listening.wait_until_ready(played(bag))
                run_ = threads.submit(
                    run_live, askings, listening, identity, tmp_path / 'played', 'live'
                )
                play(robot, bag)
                run_.result()
        with (
            running_node(parameters, log),
            pytest.raises(ClientError, match='use_sim_time:=true'),
        ):
            robot.wait_until_ready(played(bag))
    from ros2_llava_phi.assistant.load import load

    # On a busy machine, an answer is about a later frame than the one that was due.
    (tmp_path / 'q.yaml').write_text(DRIVE_QUESTIONS.replace(', when: {every_s: 0.4}', ''))
    of_every_frame = open_recordings([bag], read_questions(tmp_path / 'q.yaml'))
    run_offline(of_every_frame, load('llava-phi-tiny'), tmp_path / 'offline')
    offline = {
        (each.frame, each.entry): each
        for each in read_results(tmp_path / 'offline' / 'results.jsonl')
    }
    different = {'seconds', 'live', 'confidence', 'probabilities'}
    for out in ('live', 'played'):
        results = read_results(tmp_path / out / 'results.jsonl')
        answered = [each for each in results if not each.error]
        # Each question got through; on a busy machine, not about every frame.
        asked_of_both = [each for each in answered if (each.frame, each.entry) in offline]
        assert {each.entry for each in asked_of_both} == {1, 2, 3, 4}
        for live in asked_of_both:
            same = offline[live.frame, live.entry]
            assert live.model_dump(exclude=different) == same.model_dump(exclude=different)
            assert live.confidence == pytest.approx(same.confidence, abs=1e-6)
            assert live.live is not None and live.live.frame_age >= 0


# Cameras that are asked the same, and see something else: whoever mixes them up is wrong. Each is
# called by several names, and the node, whose default is the rear one, has others.
TWO_CAMERAS = """
cameras:
  front: /front/image_raw/compressed
  rear: /rear/image_raw/compressed
  behind: /rear/image_raw/compressed
ground_truth: DRIVE
questions:
  - {question: "Is there a red car?", kind: yes_no, camera: front}
  - {question: "Is there a red car?", kind: yes_no, camera: /rear/image_raw/compressed}
  - {question: "How many cars are there?", kind: number, camera: /front/image_raw/compressed}
  - {question: "How many cars are there?", kind: number, camera: behind}
"""
OF_ENTRY = {1: 'front', 2: 'rear', 3: 'front', 4: 'rear'}


def test_each_of_two_cameras_is_answered_about(ros_domain: int, tmp_path: Path) -> None:
    pytest.importorskip('llava_phi.srv')
    from ros2_llava_phi.client.ask_client import AskClient
    from ros2_llava_phi.client.node_under_test import NodeUnderTest
    from ros2_llava_phi.client.process import camera_parameters, running_node
    from ros2_llava_phi.errors import ClientError

    bag = short_drive(tmp_path / 'drive', 1.6, 'front', 'rear')
    truth = DATA / 'drive_ground_truth.json'
    (tmp_path / 'q.yaml').write_text(TWO_CAMERAS.replace('DRIVE', str(truth)))
    askings = open_recordings([bag], read_questions(tmp_path / 'q.yaml'))
    topics = Recording(bag).image_topics()
    on_node = {'hinten': '/rear/image_raw/compressed', 'rear': '/front/image_raw/compressed'}
    parameters = [*camera_parameters(on_node, 'compressed'), '-p', 'use_sim_time:=true']
    out = tmp_path / 'live'
    with (
        (tmp_path / 'log').open('w') as log,
        AskClient(name='replay') as client,
        running_node(parameters, log),
    ):
        robot = NodeUnderTest(client, rate=0.25)
        with pytest.raises(ClientError, match='no camera on /left, but hinten on /rear/image_raw'):
            robot.wait_until_ready([PlayedCamera('/left', next(iter(topics.values())), ('rear',))])
        identity = robot.wait_until_ready(played(bag, 'front', 'rear'))
        run_live(askings, robot, identity, out, 'live')
    answers = read_ground_truth(truth).answer
    right: dict[int, list[bool]] = {entry: [] for entry in OF_ENTRY}
    for record in read_results(out / 'results.jsonl'):
        # On a busy machine, the answer before may still be awaited, or a frame be lost or late.
        assert record.error in ('', 'SKIPPED', 'STALE_FRAME'), record.error_text
        assert record.camera == OF_ENTRY[record.entry]
        if not record.error:
            front, rear = (
                answers(camera, record.stamp_ns, record.question) for camera in ('front', 'rear')
            )
            assert front and rear and front != rear
            assert record.truth == ((front if record.camera == 'front' else rear),)
            right[record.entry].append(is_right(record))
    for entry, each in right.items():
        assert sum(each) > 0.75 * len(each) > 0, (entry, each)


def test_an_answer_about_another_camera_is_an_error(ros_domain: int, tmp_path: Path) -> None:
    pytest.importorskip('llava_phi.srv')
    from ros2_llava_phi.client.ask_client import AskClient
    from ros2_llava_phi.client.node_under_test import NodeUnderTest
    from ros2_llava_phi.client.process import running_node
    from ros2_llava_phi.errors import ClientError

    parameters = ['-p', 'cameras:=[left, right]', '-p', 'left.topic:=/l', '-p', 'right.topic:=/r']
    parameters += ['-p', 'use_sim_time:=true', '-r', '/l:=/elsewhere']
    command = [sys.executable, str(Path(__file__).with_name('scripted_node.py'))]
    with (
        (tmp_path / 'log').open('w') as log,
        AskClient(name='replay') as client,
        running_node(parameters, log, command),
    ):
        robot = NodeUnderTest(client)
        robot.wait_until_ready([PlayedCamera('/r', COMPRESSED_IMAGE, ('front',))])
        response = robot.ask(Question('of left'), '/r', 0)
        # A camera that a remapping led to the topic is known by its name alone.
        robot.wait_until_ready([PlayedCamera('/elsewhere', COMPRESSED_IMAGE, ('left',))])
        with pytest.raises(ClientError, match='no camera on /elsewhere, but left on /l, right'):
            robot.wait_until_ready([PlayedCamera('/elsewhere', COMPRESSED_IMAGE, ('right',))])
    assert (response.answer, response.error) == (None, 'OTHER_CAMERA')
    assert response.error_text == 'asked about the camera right, the node answered about left'
