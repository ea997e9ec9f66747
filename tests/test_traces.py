"""Exports from traces that tests share are those from fresh ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_model import make_model
from traces import kept_trace

from ros2_llava_phi.engine import golden, onnx_graphs, tracing
from ros2_llava_phi.engine.export import export
from ros2_llava_phi.engine.exported import DECODER, VISION, WEIGHTS, read_manifest
from ros2_llava_phi.engine.onnx_engine import OnnxEngine
from ros2_llava_phi.model.checkpoint import open_checkpoint

pytestmark = pytest.mark.slow


def test_an_export_from_shared_traces_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of tower and decoder in int4, of which int8 shares the tower alone."""
    traced = []

    def trace(*arguments: Any) -> Any:
        traced.append(arguments)
        return tracing.trace(*arguments)

    shared = kept_trace(trace, tmp_path / 'traces')
    checkpoint, logits = open_checkpoint(make_model(tmp_path / 'model')), []
    for name, how, traces in (('fresh', trace, 2), ('first', shared, 4), ('again', shared, 4)):
        monkeypatch.setattr(onnx_graphs, 'trace', how)
        out = tmp_path / name
        export(checkpoint, out, 'small', 'int4')
        assert len(traced) == traces
        golden.record(OnnxEngine(out, read_manifest(out)), tmp_path / 'logits.npz')
        logits.append(np.load(tmp_path / 'logits.npz')['logits'])
        for file in (WEIGHTS[VISION], WEIGHTS[DECODER]):
            assert (out / file).read_bytes() == (tmp_path / 'fresh' / file).read_bytes()
    np.testing.assert_array_equal(logits[1], logits[0])
    np.testing.assert_array_equal(logits[2], logits[0])
    export(checkpoint, tmp_path / 'int8', 'small', 'int8')
    assert len(traced) == 7
