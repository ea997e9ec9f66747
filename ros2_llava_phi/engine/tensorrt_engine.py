"""Plans on a GPU, run by TensorRT: needs neither PyTorch nor transformers."""

import logging
import mmap
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ros2_llava_phi.errors import DeviceError, ModelError
from ros2_llava_phi.model.config import ModelConfig, TextConfig, read_config

from .branches import MOST_BRANCHES, Layout, in_a_row
from .cuda import DeviceMemory, Graph, Stream, from_half, gpu_name, scatter, to_half, zero
from .engine import Engine, Floats, KVCache, check_finite, check_room
from .exported import EMBEDDINGS, check_files, read_embeddings
from .plans import DECODER_PLAN, VISION_PLAN, PlanManifest, mismatch
from .tensorrt_library import library_name, load_tensorrt

BF16_BYTES = 2
PREFILL, DECODE, TOGETHER = 0, 1, 2  # the plan's profiles
REMEDY = 'look at the checkpoint, or try another precision'  # for NaN
# Added to the products of queries and keys that a token may not see: less than any. Infinity would
# be no number where all that a kernel sees at once is hidden.
HIDDEN = -1e9


def aligned(size: int) -> int:
    """Return a number of bytes filled up to TensorRT's alignment of addresses, 256."""
    return -(-size // 256) * 256


class TensorrtCache(KVCache):
    """
    Keys and values on the GPU, bf16, layer by layer: all keys, then all values.

    The graph that decodes one token into this cache is kept here, since it knows its addresses.
    """

    def __init__(self, config: TextConfig, stream: Stream) -> None:
        """Reserve places for the model's context."""
        self.capacity = config.context_length
        self.length = 0
        self.layer_bytes = aligned(BF16_BYTES * config.context_length * config.hidden_size)
        self.memory = DeviceMemory(2 * config.layers * self.layer_bytes, stream)
        self.decode: Graph | None = None


class Buffers:
    """What a run reads and writes on the GPU, apart from caches."""

    def __init__(self, config: ModelConfig, stream: Stream) -> None:
        """Reserve memory for the largest run."""
        half, text = 2, config.text
        self.pixels = DeviceMemory(half * 3 * config.vision.image_size**2, stream)
        self.picture = DeviceMemory(half * config.image_tokens * text.hidden_size, stream)
        self.embeddings = DeviceMemory(half * text.context_length * text.hidden_size, stream)
        self.past = DeviceMemory(4, stream)
        self.positions = DeviceMemory(4 * text.context_length, stream)
        self.bias = DeviceMemory(half * text.context_length**2, stream)
        self.last = DeviceMemory(4 * MOST_BRANCHES, stream)
        self.logits = DeviceMemory(4 * MOST_BRANCHES * text.vocab_size, stream)
        self.tokens = DeviceMemory(4 * MOST_BRANCHES, stream)
        self.log_probabilities = DeviceMemory(4 * MOST_BRANCHES, stream)
        # Rows, until they are copied to where they belong in a cache: of one token, or of as many
        # as there may be where rows are not aligned.
        row = BF16_BYTES * text.hidden_size
        longest = 1 if row == aligned(row) else text.context_length
        self.rows = DeviceMemory(2 * text.layers * aligned(longest * row), stream)


class TensorrtEngine(Engine[TensorrtCache]):
    """
    Engine (see engine.py) on TensorRT.

    Prefill and decode are two contexts of one plan, with the same weights and the same memory for
    activations; all work goes through one stream.
    """

    name = 'tensorrt'
    device = 'cuda'

    def __init__(self, folder: Path, manifest: PlanManifest) -> None:
        """
        Load plans, whose manifest has been read.

        Raises ModelError if a file is not what was built, or the plans are not for this machine.
        """
        trt = load_tensorrt()
        if reason := mismatch(manifest, library_name(trt), gpu_name()):
            raise ModelError(f'{folder} {reason}; build it again')
        check_files(folder, manifest.files, 'build again')
        self.config = read_config(folder)
        self.precision: str = manifest.export.precision
        self._half = 'bf16' if self.precision == 'bf16' else 'fp16'
        self._native = manifest.native
        text = self.config.text
        self._embeddings = read_embeddings(folder / EMBEDDINGS, text)
        try:
            self._stream = Stream()
            self._buffers = Buffers(self.config, self._stream)
            self._runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
            encoder = _deserialise(self._runtime, folder / VISION_PLAN)
            decoder = _deserialise(self._runtime, folder / DECODER_PLAN)
            size = max(encoder.device_memory_size_v2, decoder.device_memory_size_v2)
            self._activations = DeviceMemory(size, self._stream)
            self._vision = self._context(trt, encoder)
            self._phases = [
                self._context(trt, decoder, profile) for profile in (PREFILL, DECODE, TOGETHER)
            ]
            # What TensorRT puts off until the first run must not happen while a graph is captured.
            self._captures = False
            token, cache = np.zeros((1, text.hidden_size), np.float32), self.new_cache()
            self._run(token, cache, in_a_row(0, 1))
            self._captures = self._capture(cache) is not None
        except DeviceError as error:
            raise ModelError(f'{folder} cannot be loaded: {error}') from error

    def _context(self, trt: ModuleType, engine: Any, profile: int | None = None) -> Any:
        """Return a context of a plan in the memory that all contexts share."""
        strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        context = engine.create_execution_context(strategy)
        if context is None:
            raise ModelError('TensorRT gives no context for the plan; its log has the reason')
        context.set_device_memory(self._activations.address, self._activations.size)
        if profile is not None:
            context.set_optimization_profile_async(profile, self._stream.handle)
            self._stream.wait()
        return context

    def encode(self, pixels: Floats) -> Floats:
        """Turn normalised pixels [3, side, side] into embeddings [image_tokens, hidden]."""
        buffers = self._buffers
        buffers.pixels.write(to_half(pixels, self._half))
        self._vision.set_tensor_address('pixels', buffers.pixels.address)
        self._vision.set_tensor_address('embeddings', buffers.picture.address)
        self._execute(self._vision)
        halves = np.empty((self.config.image_tokens, self.config.text.hidden_size), np.uint16)
        buffers.picture.read(halves)
        embeddings = from_half(halves, self._half)
        check_finite(embeddings, 'vision tower or projector', REMEDY)
        return embeddings

    def embed(self, tokens: Sequence[int]) -> Floats:
        """Return the embeddings [T, hidden] of T token ids."""
        embeddings: Floats = self._embeddings[list(tokens)].astype(np.float32)
        return embeddings

    def new_cache(self) -> TensorrtCache:
        """Return an empty cache for the model's context length; DeviceError if memory is short."""
        return TensorrtCache(self.config.text, self._stream)

    def extend(self, embeddings: Floats, cache: TensorrtCache, layout: Layout) -> Floats:
        """Append embeddings [T, hidden] of N sequences; return the logits of their ends."""
        tokens = len(embeddings)
        check_room(cache, tokens)
        if len(layout.last) > MOST_BRANCHES:
            raise ValueError(f'{len(layout.last)} sequences; at most {MOST_BRANCHES} go at once')
        self._run(embeddings, cache, layout)
        logits = np.empty((len(layout.last), self.config.text.vocab_size), np.float32)
        self._buffers.logits.read(logits)
        self._keep(logits, cache, tokens)
        return logits

    def step(self, token: int, cache: TensorrtCache) -> tuple[int, float]:
        """
        Append one token; return the likeliest one to follow, and the log of its probability.

        Of what the GPU computes, these two numbers are all that is copied to the host.
        """
        check_room(cache, 1)
        self._run(self.embed([token]), cache, in_a_row(cache.length, 1))
        following, log_probability = np.empty(1, np.int32), np.empty(1, np.float32)
        self._buffers.tokens.read(following)
        self._buffers.log_probabilities.read(log_probability)
        self._keep(log_probability, cache, 1)
        return int(following[0]), float(log_probability[0])

    def _keep(self, result: Floats, cache: TensorrtCache, tokens: int) -> None:
        """Count a run's tokens to the cache; raises NumericsError if its result is not finite."""
        if not np.isfinite(result).all():
            # What a mask hides may still be multiplied, by zero, and NaN would stay NaN.
            self._clear(cache, tokens)
        check_finite(result, 'decoder', REMEDY)
        cache.length += tokens

    def _clear(self, cache: TensorrtCache, tokens: int) -> None:
        """Set the places of the next tokens in a cache to zero."""
        text = self.config.text
        heads = text.heads if self._native else 1
        row = BF16_BYTES * text.hidden_size // heads
        for index in range(2 * text.layers):
            start = cache.memory.address + index * cache.layer_bytes + cache.length * row
            zero(start, cache.capacity * row, tokens * row, heads, self._stream)

    def _capture(self, cache: TensorrtCache) -> Graph | None:
        """
        Return the graph of one decoded token; None where the plan's kernels do not allow it.

        The token's context must have run with the cache's addresses before.
        """
        try:
            return self._stream.capture(lambda: self._execute(self._phases[DECODE]))
        except DeviceError as error:
            log = logging.getLogger(__name__)
            log.warning('decoding without a CUDA graph, and so slower: %s', error)
            return None

    def _run(self, embeddings: Floats, cache: TensorrtCache, layout: Layout) -> None:
        """Put a run of the decoder into the stream; one token's is a graph from the second on."""
        tokens = len(embeddings)
        buffers = self._buffers
        bias = np.full((tokens, cache.capacity), HIDDEN, np.float32)
        bias[:, : layout.mask.shape[1]][layout.mask] = 0
        buffers.embeddings.write(to_half(embeddings, self._half))
        buffers.past.write(np.array([cache.length], np.int32))
        buffers.positions.write(layout.positions.astype(np.int32))
        buffers.bias.write(to_half(bias, 'bf16'))
        buffers.last.write(layout.last.astype(np.int32))
        if tokens == 1 and cache.decode is not None:
            cache.decode.launch()
        else:
            self._execute(self._bound(cache, tokens, len(layout.last)))
            if tokens == 1 and self._captures:
                cache.decode = self._capture(cache)
                self._captures = cache.decode is not None
        if self._puts_rows_aside(tokens):
            row = BF16_BYTES * self.config.text.hidden_size
            scatter(
                buffers.rows.address,
                aligned(tokens * row),
                cache.memory.address + row * cache.length,
                cache.layer_bytes,
                tokens * row,
                2 * self.config.text.layers,
                self._stream,
            )

    def _puts_rows_aside(self, tokens: int) -> bool:
        """Return whether new rows of the cache are put out elsewhere first, and copied.

        So that a graph's addresses do not change; and where a row is not aligned in its cache.
        """
        row = BF16_BYTES * self.config.text.hidden_size
        return not self._native and (tokens == 1 or row != aligned(row))

    def _bound(self, cache: TensorrtCache, tokens: int, sequences: int) -> Any:
        """Return the context for tokens of so many sequences with a cache's addresses."""
        text, buffers = self.config.text, self._buffers
        context = self._phases[phase_of(tokens, sequences)]
        row = BF16_BYTES * text.hidden_size
        place: tuple[int, ...] = (1, text.context_length, text.hidden_size)
        if self._native:
            place = (1, text.heads, text.context_length, text.head_dim)
        addresses = {
            'embeddings': buffers.embeddings,
            'past': buffers.past,
            'positions': buffers.positions,
            'bias': buffers.bias,
            'last': buffers.last,
            'logits': buffers.logits,
            'tokens': buffers.tokens,
            'log_probabilities': buffers.log_probabilities,
        }
        for name, memory in addresses.items():
            context.set_tensor_address(name, memory.address)
        context.set_input_shape('embeddings', (1, tokens, text.hidden_size))
        context.set_input_shape('past', (1,))
        context.set_input_shape('positions', (1, tokens))
        context.set_input_shape('bias', (1, 1, tokens, text.context_length))
        context.set_input_shape('last', (sequences,))
        names = [f'{kind}.{i}' for kind in ('keys', 'values') for i in range(text.layers)]
        for index, name in enumerate(names):
            address = cache.memory.address + index * cache.layer_bytes
            context.set_input_shape(name, place)
            context.set_tensor_address(name, address)
            if self._puts_rows_aside(tokens):
                address = buffers.rows.address + index * aligned(tokens * row)
            elif not self._native:
                address += cache.length * row
            context.set_tensor_address(f'new_{name}', address)
        return context

    def _execute(self, context: Any) -> None:
        if not context.execute_async_v3(self._stream.handle):
            raise DeviceError('TensorRT did not run the plan; its log has the reason')


def phase_of(tokens: int, sequences: int) -> int:
    """
    Return the profile for tokens of so many sequences.

    One token has a context for itself: graphs are bound to the shapes that it had.
    """
    if tokens == 1:
        return DECODE
    return TOGETHER if tokens == sequences else PREFILL


def _deserialise(runtime: Any, file: Path) -> Any:
    """Return a plan's engine; the file is mapped, and so not held twice."""
    with file.open('rb') as plan, mmap.mmap(plan.fileno(), 0, access=mmap.ACCESS_READ) as data:
        engine = runtime.deserialize_cuda_engine(data)
    if engine is None:
        raise ModelError(f'{file} cannot be loaded by TensorRT; build it again')
    return engine
