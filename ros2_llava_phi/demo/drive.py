"""What is asked about the packaged drive, and when."""

from .moment import Moment

MOMENTS: tuple[Moment, ...] = ()
