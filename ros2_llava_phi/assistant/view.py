"""A view: a frame that was looked at, ready for any number of questions."""

from dataclasses import dataclass, field

from ros2_llava_phi.engine.engine import KVCache

from .answer import Timings
from .frame import Frame


@dataclass
class View:
    """
    A frame, and the model's memory of the prompt up to and including its picture.

    cache: holds that prompt; every question branches off it and is forgotten again. None
    where there is nothing to see, since it may take gigabytes.
    prefix: tokens of that prompt.
    timings: what looking took; the first answer reports it, later ones report zero.
    nothing_to_see: why the frame cannot show anything; empty if it can.
    past: tokens in the cache up to the last answer, to which a further question may refer.
    unread: the rest of that answer, which is not in the cache; empty before the first answer.
    """

    frame: Frame
    cache: KVCache | None
    prefix: int
    timings: Timings
    nothing_to_see: str = ''
    past: int = 0
    unread: list[int] = field(default_factory=list)

    def take_timings(self) -> Timings:
        """Return what looking took, and zero from the second call on."""
        taken, self.timings = self.timings, Timings()
        return taken
