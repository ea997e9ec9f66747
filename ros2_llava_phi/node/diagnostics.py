"""The node's health as a DiagnosticArray (REP-107)."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence

from builtin_interfaces.msg import Time as TimeMessage
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from llava_phi.srv import Ask
from std_msgs.msg import Header

from ros2_llava_phi.bags.stamps import NS
from ros2_llava_phi.client.ask_client import error_name
from ros2_llava_phi.errors import counted

from .cameras import Camera
from .node_clock import NodeClock

PERIOD = 1.0

# Endings of questions that say something about the node rather than about who asked.
WORRYING = {
    error_name(Ask.Response.INTERNAL_ERROR): DiagnosticStatus.ERROR,
    error_name(Ask.Response.QUEUE_FULL): DiagnosticStatus.WARN,
    error_name(Ask.Response.TIMEOUT): DiagnosticStatus.WARN,
}


class Diagnostics:
    """Report the node's state, its questions, and its cameras' rates and ages."""

    def __init__(self, node_name: str, clock: NodeClock) -> None:
        """Report under the node's full name."""
        self._node_name, self._clock = node_name, clock
        self._refused: Counter[str] = Counter()
        self._counted: Counter[str] = Counter()
        self._reported: Counter[str] = Counter()
        self._counted_at = time.monotonic()

    def report(
        self,
        stamp: TimeMessage,
        state: str,
        fault: str,
        waiting: int,
        outcomes: Counter[str],
        cameras: Sequence[Camera],
        max_frame_age: float,
    ) -> DiagnosticArray:
        """
        Return the report.

        fault: what is wrong with the node's clock, or ''.
        waiting: questions in the queue. outcomes: how many questions ended how.
        max_frame_age: seconds without a frame after which a camera is reported.
        """
        active = state == 'active'
        rates = self._rates(cameras)
        return DiagnosticArray(
            header=Header(stamp=stamp),
            status=[
                self._questions(state, fault, waiting, outcomes),
                *(
                    self._camera(camera, rates[camera.name], max_frame_age, active)
                    for camera in cameras
                ),
            ],
        )

    def _questions(
        self, state: str, fault: str, waiting: int, outcomes: Counter[str]
    ) -> DiagnosticStatus:
        values = {'state': state, 'waiting': str(waiting)}
        values.update({outcome: str(count) for outcome, count in outcomes.items()})
        new = outcomes - self._reported
        self._reported = outcomes.copy()
        level, message = DiagnosticStatus.OK, state
        if fault:
            level, message = DiagnosticStatus.WARN, fault
        if worrying := [name for name in WORRYING if new[name]]:
            level = max(level, *(WORRYING[name] for name in worrying))
            counts = ', '.join(f'{new[name]} {name}' for name in worrying)
            message = f'{message}; since the last report: {counts}'
        return self._status('questions', level, message, values)

    def _rates(self, cameras: Sequence[Camera]) -> dict[str, float]:
        now = time.monotonic()
        passed, self._counted_at = now - self._counted_at, now
        counted = Counter({camera.name: camera.received for camera in cameras})
        new = counted - self._counted
        self._counted = counted
        return {camera.name: new[camera.name] / max(passed, 1e-3) for camera in cameras}

    def _camera(
        self, camera: Camera, rate: float, max_frame_age: float, active: bool
    ) -> DiagnosticStatus:
        values = {'topic': camera.topic, 'rate [Hz]': f'{rate:.1f}'}
        values.update(self._decoding(camera))
        fault, frame = '', camera.newest()
        if frame is not None:
            ago_ns, age_ns = self._clock.since_ns(frame.received), frame.age_ns(self._clock)
            values['newest frame came [s ago]'] = f'{ago_ns / NS:.3f}'
            if ago_ns > max_frame_age * NS:
                fault = f'delivers no more: {camera.why_silent()}'
            elif useless := camera.why_useless(frame):
                fault = f'sends what cannot be used: {useless}'
            elif age_ns > max_frame_age * NS:
                fault = f'by their stamps, frames are {age_ns / NS:.3f} s old when they come'
            else:
                fault = camera.why_ahead(frame)
        elif active:
            fault = camera.why_silent()
        # A camera that was configured anew counts from zero.
        new = camera.refused - min(self._refused[camera.name], camera.refused)
        self._refused[camera.name] = camera.refused
        if new and not fault:
            fault = f'{counted(new, "frame")} refused since the last report: {camera.refusal}'
        level = DiagnosticStatus.WARN if fault else DiagnosticStatus.OK
        fine = 'delivers' if active else 'not used: not active'
        return self._status(f'camera {camera.name}', level, fault or fine, values)

    def _decoding(self, camera: Camera) -> dict[str, str]:
        """Return what became of the frames that somebody asked about."""
        share = camera.refused / camera.decoded if camera.decoded else 0.0
        return {
            'frames decoded': str(camera.decoded),
            'frames refused [%]': f'{100 * share:.1f}',
            'frames with extraneous bytes': str(camera.flawed),
        }

    def _status(
        self, what: str, level: bytes, message: str, values: Mapping[str, str]
    ) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=level,
            name=f'{self._node_name}: {what}',
            hardware_id=self._node_name,
            message=message,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
