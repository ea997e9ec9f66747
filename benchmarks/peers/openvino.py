"""OpenVINO: our network traced with the cache as its state, weights rounded by NNCF."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ros2_llava_phi.engine.engine import Floats
from ros2_llava_phi.model.config import read_config, write_config

from .contender import read_table
from .workload import THREADS

VISION, DECODER = 'vision.xml', 'decoder.xml'
GROUP = 128
SETTINGS = {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_NUM_THREADS': THREADS}


def write(checkpoint: Path, out: Path, precision: str) -> None:
    """See Library. NNCF keeps 8 bits in the head; the picture's part has them throughout."""
    # Here, because PyTorch is not to count as memory of the engine.
    import nncf
    import openvino

    from ros2_llava_phi.model.checkpoint import open_checkpoint

    from .openvino_graphs import decoder_graph, vision_graph

    modes = nncf.CompressWeightsMode
    in_8_bits = {'mode': modes.INT8_ASYM}
    in_4_bits = {'mode': modes.INT4_SYM, 'group_size': GROUP, 'ratio': 1.0}
    network = open_checkpoint(checkpoint).read(dtype=None)
    write_config(network.config, out)
    vision = nncf.compress_weights(vision_graph(network), **in_8_bits)
    openvino.save_model(vision, out / VISION, compress_to_fp16=False)
    del vision, network.vision_tower, network.projector
    rounding = in_4_bits if precision == 'int4' else in_8_bits
    decoder = nncf.compress_weights(decoder_graph(network.decoder), **rounding)
    openvino.save_model(decoder, out / DECODER, compress_to_fp16=False)


def load(checkpoint: Path, folder: Path, precision: str) -> 'OpenVinoEngine':
    """See Library."""
    return OpenVinoEngine(checkpoint, folder, precision)


def streamed(checkpoint: Path, folder: Path, precision: str) -> int:
    """See Library."""
    return (folder / DECODER).with_suffix('.bin').stat().st_size


class Cache:
    """The state of a request; to rewind it, copies of the states are put back."""

    def __init__(self, request: Any, capacity: int) -> None:
        """Begin with no tokens."""
        request.reset_state()
        self._request = request
        self._copies: dict[int, list[Floats]] = {}
        self.capacity, self.length = capacity, 0

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens; from the second time on without reading."""
        import openvino

        states = self._request.query_state()
        if length not in self._copies:
            self._copies[length] = [state.state.data[:, :, :length].copy() for state in states]
        for state, copy in zip(states, self._copies[length], strict=True):
            state.state = openvino.Tensor(copy)
        self.length = length


class OpenVinoEngine:
    """Engine on OpenVINO."""

    name, device = 'OpenVINO', 'cpu'

    def __init__(self, checkpoint: Path, folder: Path, precision: str) -> None:
        """Compile the graphs for the CPU, with all settings but the threads as they come."""
        import openvino

        self.precision = precision
        self.config = read_config(folder)
        self._table = read_table(checkpoint)
        core = openvino.Core()
        self._vision = core.compile_model(folder / VISION, 'CPU', SETTINGS)
        decoder = core.compile_model(folder / DECODER, 'CPU', SETTINGS)
        self._request = decoder.create_infer_request()

    def encode(self, pixels: Floats) -> Floats:
        """See Engine."""
        embeddings: Floats = self._vision([pixels[None]])[0][0]
        return embeddings

    def embed(self, tokens: Sequence[int]) -> Floats:
        """See Engine."""
        return self._table[list(tokens)].astype(np.float32)

    def new_cache(self) -> Cache:
        """See Engine."""
        return Cache(self._request, self.config.text.context_length)

    def prefill(self, embeddings: Floats, cache: Cache) -> Floats:
        """See Engine."""
        past, tokens = cache.length, len(embeddings)
        hidden = np.triu(np.ones((tokens, past + tokens), bool), past + 1)
        inputs = {
            'embeddings': embeddings[None],
            'positions': np.arange(past, past + tokens)[None],
            'mask': np.where(hidden, np.finfo(np.float32).min, np.float32(0))[None, None],
            'beams': np.zeros(1, np.int32),
        }
        self._request.infer(inputs, share_inputs=True)
        cache.length = past + tokens
        logits: Floats = self._request.get_tensor('logits').data[0].copy()
        return logits

    def decode(self, token: int, cache: Cache) -> Floats:
        """See Engine."""
        return self.prefill(self.embed([token]), cache)
