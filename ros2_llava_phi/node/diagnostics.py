"""The node's health as a DiagnosticArray (REP-107)."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence

from builtin_interfaces.msg import Time as TimeMessage
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from .cameras import Camera

PERIOD = 1.0


class Diagnostics:
    """Report the node's state, its questions, and its cameras' rates and ages."""

    def __init__(self, node_name: str) -> None:
        """Report under the node's full name."""
        self._node_name = node_name
        self._counted: Counter[str] = Counter()
        self._counted_at = time.monotonic()

    def report(
        self,
        stamp: TimeMessage,
        state: str,
        waiting: int,
        outcomes: Mapping[str, int],
        cameras: Sequence[Camera],
        max_frame_age: float,
    ) -> DiagnosticArray:
        """
        Return the report.

        waiting: questions in the queue. outcomes: how many questions ended how.
        max_frame_age: seconds without a frame after which a camera is reported.
        """
        values = {'state': state, 'waiting': str(waiting)}
        values.update({outcome: str(count) for outcome, count in outcomes.items()})
        active = state == 'active'
        rates = self._rates(cameras)
        return DiagnosticArray(
            header=Header(stamp=stamp),
            status=[
                self._status('questions', DiagnosticStatus.OK, state, values),
                *(
                    self._camera(camera, rates[camera.name], max_frame_age, active)
                    for camera in cameras
                ),
            ],
        )

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
        ago = camera.received_ago_ns()
        level, message = DiagnosticStatus.OK, 'delivers' if active else 'not used: not active'
        if ago is not None:
            values['newest frame came [s ago]'] = f'{ago / 1e9:.3f}'
        if active and ago is None:
            level, message = DiagnosticStatus.WARN, camera.why_silent()
        elif ago is not None and ago > max_frame_age * 1e9:
            level, message = DiagnosticStatus.WARN, 'delivers no more'
        return self._status(f'camera {camera.name}', level, message, values)

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
