"""Temperature and calibration error, against cases whose truth is known."""

import numpy as np
import pytest

from ros2_llava_phi.scoring.calibration import (
    expected_calibration_error,
    fit_temperature,
    reliability,
)


@pytest.mark.slow
@pytest.mark.parametrize('temperature', [0.5, 1.0, 2.0])
def test_the_temperature_is_recovered(temperature: float) -> None:
    rng = np.random.default_rng(0)
    honest = rng.dirichlet([1, 1, 1], size=8000)
    truth = [int(rng.choice(3, p=p)) for p in honest]
    shown = honest**temperature
    shown /= shown.sum(axis=1, keepdims=True)
    fitted = fit_temperature(shown[:, :2].tolist(), truth)
    assert fitted == pytest.approx(temperature, rel=0.08)


def test_calibration_error() -> None:
    def calibration_error(confidences: list[float], right: list[bool]) -> float | None:
        return expected_calibration_error(reliability(confidences, right))

    assert calibration_error([0.75] * 4, [True, True, True, False]) == pytest.approx(0)
    assert calibration_error([1.0] * 4, [True, True, True, False]) == pytest.approx(0.25)
    assert calibration_error([0.95, 0.55], [False, True]) == pytest.approx(0.7)
