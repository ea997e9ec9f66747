"""An exported model on a CPU, run by ONNX Runtime: needs neither PyTorch nor transformers."""

import platform
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort

from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.model.config import ModelConfig, TextConfig, read_config

from .branches import Layout
from .cpu_threads import cpu_threads
from .engine import Engine, Floats, KVCache, check_finite, check_room
from .exported import (
    DECODER,
    EMBEDDINGS,
    PREFILL,
    VISION,
    VISION_INTEGERS,
    WEIGHTS,
    Manifest,
    check_files,
    read_embeddings,
)

WEIGHT_FILES = set(WEIGHTS.values())
REMEDY = 'look at the checkpoint, and export it again'  # for NaN
CPU_INFO = Path('/proc/cpuinfo')
# Intel's and AMD's instructions that add products of 8 bits in 32.
SUMS_OF_INT8 = {'avx512_vnni', 'avx_vnni', 'amx_int8'}
Shape = list[int | None]  # of a graph's input or output; None where it may vary


class OnnxCache(KVCache):
    """Keys and values in buffers that the decoder's graphs read and write in place."""

    def __init__(self, config: TextConfig, sessions: Sequence[ort.InferenceSession]) -> None:
        """Reserve places for the model's context, for sessions that take turns with it."""
        self.capacity = config.context_length
        self.length = 0
        self.bindings = [session.io_binding() for session in sessions]
        self._places: list[Floats] = []
        shape = (1, config.heads, config.context_length, config.head_dim)
        for layer in range(config.layers):
            for kind in ('keys', 'values'):
                places = np.zeros(shape, np.float32)
                self._places.append(places)
                buffer = ort.OrtValue.ortvalue_from_numpy(places)
                for binding in self.bindings:
                    binding.bind_ortvalue_input(f'{kind}.{layer}', buffer)
                    binding.bind_ortvalue_output(f'new_{kind}.{layer}', buffer)


class OnnxEngine(Engine[OnnxCache]):
    """Engine (see engine.py) on ONNX Runtime."""

    name = 'onnxruntime'
    device = 'cpu'

    def __init__(self, folder: Path, manifest: Manifest, threads: int = 0) -> None:
        """
        Load an exported model, whose manifest has been read.

        threads: as for `cpu_threads`.

        Raises ModelError if a file is not what was exported, or the folder cannot be loaded.
        """
        weights = {name: manifest.files[name] for name in manifest.files if name in WEIGHT_FILES}
        others = {name: manifest.files[name] for name in manifest.files if name not in weights}
        check_files(folder, others, 'export again')
        self.config: ModelConfig = read_config(folder)
        self.precision: str = manifest.precision
        self.threads = cpu_threads(threads)
        # Gigabytes, of which the hashes take as long as loading does: both at once.
        with ThreadPoolExecutor(1) as beside:
            whole = beside.submit(check_files, folder, weights, 'export again')
            try:
                self._load(folder, PREFILL in manifest.files and multiplies_int8())
            finally:
                whole.result()

    def _load(self, folder: Path, in_integers: bool) -> None:
        tower = VISION_INTEGERS if in_integers else VISION
        graphs = [DECODER, PREFILL] if in_integers else [DECODER]
        self._vision = _session(folder / tower, self.threads)
        # The last for many tokens, the first for one.
        self._decoders = [_session(folder / graph, self.threads) for graph in graphs]
        self._embeddings = read_embeddings(folder / EMBEDDINGS, self.config.text)
        vision, text = self.config.vision, self.config.text
        cache: Shape = [1, text.heads, text.context_length, text.head_dim]
        caches = {f'{kind}.{i}': cache for kind in ('keys', 'values') for i in range(text.layers)}
        inputs: dict[str, Shape] = {
            'embeddings': [1, None, text.hidden_size],
            'positions': [1, None],
            'bias': [1, 1, None, None],
            'last': [None],
            **caches,
        }
        _check(folder / tower, self._vision, {'pixels': [1, 3, *2 * [vision.image_size]]})
        picture: Shape = [1, self.config.image_tokens, text.hidden_size]
        _check_output(folder / tower, self._vision, picture)
        for graph, session in zip(graphs, self._decoders, strict=True):
            _check(folder / graph, session, inputs)
            _check_output(folder / graph, session, [None, text.vocab_size])

    def encode(self, pixels: Floats) -> Floats:
        """Turn normalised pixels [3, side, side] into embeddings [image_tokens, hidden]."""
        embeddings: Floats = self._vision.run(None, {'pixels': pixels[None]})[0][0]
        check_finite(embeddings, 'vision tower or projector', REMEDY)
        return embeddings

    def embed(self, tokens: Sequence[int]) -> Floats:
        """Return the embeddings [T, hidden] of T token ids."""
        embeddings: Floats = self._embeddings[list(tokens)].astype(np.float32)
        return embeddings

    def new_cache(self) -> OnnxCache:
        """Return an empty cache for the model's context length."""
        return OnnxCache(self.config.text, self._decoders)

    def extend(self, embeddings: Floats, cache: OnnxCache, layout: Layout) -> Floats:
        """Append embeddings [T, hidden] of N sequences; return the logits of their ends."""
        tokens = len(embeddings)
        check_room(cache, tokens)
        which = 0 if tokens == len(layout.last) else -1
        binding = cache.bindings[which]
        # Held until the run is over: a binding does not keep its arrays alive in every version.
        inputs = {
            'embeddings': np.ascontiguousarray(embeddings[None]),
            'positions': layout.positions[None],
            'bias': np.where(layout.mask, np.float32(0), np.float32(-np.inf))[None, None],
            'last': layout.last,
        }
        logits = np.empty((len(layout.last), self.config.text.vocab_size), np.float32)
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        binding.bind_ortvalue_output('logits', ort.OrtValue.ortvalue_from_numpy(logits))
        self._decoders[which].run_with_iobinding(binding)
        check_finite(logits, 'decoder', REMEDY)
        cache.length += tokens
        return logits


def multiplies_int8(machine: str = platform.machine(), cpu_info: Path = CPU_INFO) -> bool:
    """
    Return whether ONNX Runtime's products of 8-bit integers are exact, and fast, on this one.

    On x86 without these instructions it adds products in 16 bits, where they saturate:
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """
    if machine in ('aarch64', 'arm64'):
        return True
    if not cpu_info.is_file():
        return False
    flags = (line for line in cpu_info.read_text().splitlines() if line.startswith('flags'))
    return bool(SUMS_OF_INT8 & set(next(flags, '').split()))


def _session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    # By itself it takes a thread for every core of the machine.
    options.intra_op_num_threads = threads
    try:
        return ort.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    except Exception as error:  # ONNX Runtime's own have nothing else in common
        reason = ' '.join(str(error).split())
        raise ModelError(f'{path} cannot be loaded by ONNX Runtime: {reason}') from error


def _check(path: Path, session: ort.InferenceSession, wanted: dict[str, Shape]) -> None:
    """Raise ModelError if a graph's inputs are not those wanted."""
    found = {value.name: _shape(value) for value in session.get_inputs()}
    if different := [name for name in found | wanted if found.get(name) != wanted.get(name)]:
        name = different[0]
        raise ModelError(
            f'{path} takes {name} of {found.get(name, "no shape")}, but this version, with its '
            f'config.json, asks for {wanted.get(name, "none")}; export it again'
        )


def _check_output(path: Path, session: ort.InferenceSession, wanted: Shape) -> None:
    found = _shape(session.get_outputs()[0])
    if found != wanted:
        raise ModelError(
            f'{path} gives {found}, but config.json asks for {wanted}; export it again'
        )


def _shape(value: ort.NodeArg) -> Shape:
    return [size if isinstance(size, int) else None for size in value.shape]
