"""How long answers took."""

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict


class Latency(BaseModel):
    """Percentiles in seconds."""

    model_config = ConfigDict(frozen=True)

    p50: float
    p90: float
    p99: float
    max: float


def latency(seconds: Sequence[float]) -> Latency | None:
    """Return the percentiles of some times; None of nothing."""
    if not seconds:
        return None
    p50, p90, p99 = (float(each) for each in np.percentile(seconds, (50, 90, 99)))
    return Latency(p50=p50, p90=p90, p99=p99, max=max(seconds))
