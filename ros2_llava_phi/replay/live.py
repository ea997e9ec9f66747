"""Ask a running node while the recording is played to it, and measure what a robot would see."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from ros2_llava_phi.bags.recorded_frame import RecordedFrame
from ros2_llava_phi.client.robot import Response, Robot
from ros2_llava_phi.errors import FrameError

from .asking import Asking
from .record import Key, Live, Record, answered, refused

# A frame needs a moment to arrive; for so long, a node that does not have it is asked again, and
# an answer about one waits for it that somebody else plays to the node first.
ARRIVAL_S = 1.0
ASK_AGAIN_S = 0.005
# What the node says while a frame is on its way.
NOT_THERE_YET = ('STALE_FRAME', 'NO_FRAME')


@dataclass(frozen=True)
class Asked:
    """A question under way."""

    record: Record
    started: float
    response: 'Future[tuple[Response, float]]'


def replay_live(
    asking: Asking,
    robot: Robot,
    already: Collection[Key] = (),
    on_frame: Callable[[RecordedFrame, list[int]], None] = lambda frame, due: None,
) -> Iterator[list[Record]]:
    """
    Play one recording to a node, ask what is due, and yield records of the responses that came.

    A question is not asked while its last answer is still awaited: that frame is SKIPPED. An
    answer about a frame that is none of the recording's camera is refused as OTHER_FRAME.
    """
    shown: dict[tuple[str, int], RecordedFrame] = {}
    under_way: dict[int, Asked] = {}
    with ThreadPoolExecutor(len(asking.questions)) as threads:
        robot.begin()
        for frame, due in asking.frames():
            on_frame(frame, due)
            # A clock that jumps is not played; where somebody else plays, it cannot be helped.
            played = frame.on_steady_clock() if robot.plays else frame
            robot.wait_for(played.message.recorded_ns)
            yield _ended(under_way, asking, shown)
            # For what answers say about it, a frame is kept without its picture.
            bare = replace(frame, message=replace(frame.message, cdr=b''), video=None)
            shown[frame.camera, played.stamp_ns] = bare
            try:
                # Where somebody else plays, nobody needs the pictures of a video.
                robot.show(played.as_published() if robot.plays else played.message)
            except FrameError as error:
                yield _not_shown(asking, frame, due, already, str(error))
                continue
            for index in due:
                record = asking.record(index, frame)
                record = record.model_copy(update={'live': Live(due=frame.number, latency=0.0)})
                if record.key in already:
                    continue
                if index in under_way:
                    yield [refused(record, 'SKIPPED', 'the answer before was still awaited')]
                    continue
                started = time.monotonic()
                response = threads.submit(_ask, robot, asking, index, played)
                under_way[index] = Asked(record, started, response)
        while under_way:
            robot.idle()
            yield _ended(under_way, asking, shown)


def _not_shown(
    asking: Asking, frame: RecordedFrame, due: list[int], already: Collection[Key], why: str
) -> list[Record]:
    """Return the refusals of what is asked about a frame that a node never gets."""
    live = Live(due=frame.number, latency=0.0)
    records = [asking.record(index, frame).model_copy(update={'live': live}) for index in due]
    return [refused(each, 'BAD_FRAME', why) for each in records if each.key not in already]


def _ask(robot: Robot, asking: Asking, index: int, frame: RecordedFrame) -> tuple[Response, float]:
    """Return the response, and when it came."""
    question = asking.questions[index].to_question()
    give_up = time.monotonic() + ARRIVAL_S
    while True:
        # Of a stamp ahead of the recording's time, the node takes the receipt.
        oldest_ns = min(frame.stamp_ns, frame.message.recorded_ns)
        response = robot.ask(question, frame.message.topic, oldest_ns)
        now = time.monotonic()
        if response.error not in NOT_THERE_YET or now > give_up:
            return response, now
        time.sleep(ASK_AGAIN_S)


def _ended(
    under_way: dict[int, Asked],
    asking: Asking,
    shown: Mapping[tuple[str, int], RecordedFrame],
) -> list[Record]:
    """Return records of the responses that have come; their questions are no longer under way."""
    records = []
    for index in [index for index, asked in under_way.items() if asked.response.done()]:
        asked = under_way[index]
        response, ended = asked.response.result()
        seen = shown.get((asked.record.camera, response.stamp_ns))
        if response.answer and not seen and time.monotonic() < ended + ARRIVAL_S:
            continue
        del under_way[index]
        live = Live(
            due=asked.record.frame,
            latency=ended - asked.started,
            frame_age=response.frame_age,
            queue=response.queue,
        )
        if response.answer is None:
            record = refused(asked.record, response.error, response.error_text)
        elif seen is None:
            sentence = (
                f'the frame of {response.stamp_ns} ns that was looked at is none of '
                f'{asked.record.camera} in the recording'
            )
            record = refused(asked.record, 'OTHER_FRAME', sentence)
        else:
            # What is true is true of the frame that was looked at.
            record = answered(asking.record(index, seen), response.answer)
        records.append(record.model_copy(update={'live': live}))
    return records
