"""A view: a frame that was looked at, ready for any number of questions."""

from dataclasses import dataclass

from ros2_llava_phi.engine.engine import KVCache

from .answer import Timings
from .frame import Frame


@dataclass
class View:
    """
    A frame, and the model's memory of the prompt up to and including its picture.

    cache: holds that prompt; every question branches off it and is forgotten again.
    prefix: tokens of that prompt.
    timings: what looking took; the first answer reports it, later ones report zero.
    nothing_to_see: why the frame cannot show anything; empty if it can.
    """

    frame: Frame
    cache: KVCache
    prefix: int
    timings: Timings
    nothing_to_see: str = ''

    def take_timings(self) -> Timings:
        """Return what looking took, and zero from the second call on."""
        taken, self.timings = self.timings, Timings()
        return taken
