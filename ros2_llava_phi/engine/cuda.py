"""CUDA's memory, streams and graphs, freed once unused; and fp16 and bf16 as they stand there."""

import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_llava_phi.errors import DeviceError, ModelError

# Of fp16 and bf16 numbers: NumPy has no bf16.
Bits = NDArray[np.uint16]


def runtime() -> ModuleType:
    """Return CUDA's runtime; raises ModelError if it is not installed."""
    try:
        from cuda.bindings import runtime as found
    except ImportError as error:
        raise ModelError('`pip install cuda-python`: without it no GPU can be used') from error
    module: ModuleType = found
    return module


def call(name: str, *arguments: Any) -> Any:
    """Call a function of CUDA's runtime; return what it gives, or raise DeviceError."""
    module = runtime()
    status, *results = getattr(module, name)(*arguments)
    if status != module.cudaError_t.cudaSuccess:
        raise DeviceError(f'{name} failed: {status.name}')
    return results[0] if results else None


def gpu_name() -> str:
    """Return the first GPU's name and compute capability; raises ModelError if there is none."""
    try:
        properties = call('cudaGetDeviceProperties', 0)
    except DeviceError as error:
        raise ModelError(f'there is no GPU here ({error})') from error
    name = properties.name.rstrip(b'\0').decode()
    return f'{name} sm{properties.major}{properties.minor}'


class Stream:
    """A queue of work on the GPU, which goes on while the caller does."""

    def __init__(self) -> None:
        """Open a stream of its own: the default one waits for all others."""
        self.handle: Any = call('cudaStreamCreate')
        weakref.finalize(self, runtime().cudaStreamDestroy, self.handle)

    def wait(self) -> None:
        """Return when all of its work is done; raises DeviceError if some of it failed."""
        call('cudaStreamSynchronize', self.handle)

    def capture(self, work: Callable[[], None]) -> 'Graph':
        """Record what is put into the stream instead of doing it."""
        thread_local = runtime().cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        call('cudaStreamBeginCapture', self.handle, thread_local)
        try:
            work()
        finally:
            graph = call('cudaStreamEndCapture', self.handle)
        return Graph(graph, self)


class Graph:
    """Recorded work, launched again as one: same addresses, whatever they hold by then."""

    def __init__(self, graph: Any, stream: Stream) -> None:
        """Make a captured graph ready; it is launched in the stream that it was captured from."""
        self._stream = stream
        try:
            self._ready = call('cudaGraphInstantiate', graph, 0)
        finally:
            call('cudaGraphDestroy', graph)
        weakref.finalize(self, runtime().cudaGraphExecDestroy, self._ready)

    def launch(self) -> None:
        """Put the work into the stream."""
        call('cudaGraphLaunch', self._ready, self._stream.handle)


class DeviceMemory:
    """Memory of the GPU, set to zero; freed when nothing holds this any more."""

    def __init__(self, size: int, stream: Stream) -> None:
        """Reserve `size` bytes for work in a stream."""
        self.size = size
        self._stream = stream
        self.address: int = int(call('cudaMalloc', max(1, size)))
        weakref.finalize(self, runtime().cudaFree, self.address)
        call('cudaMemsetAsync', self.address, 0, size, stream.handle)

    def write(self, array: NDArray[Any]) -> None:
        """Copy an array to the start of this memory; it may be changed once this returns."""
        array = np.ascontiguousarray(array)
        kind = runtime().cudaMemcpyKind.cudaMemcpyHostToDevice
        self._copy(self.address, array.ctypes.data, array.nbytes, kind)
        # The copy reads pageable memory, so it must be over before that may change.
        self._stream.wait()

    def read(self, array: NDArray[Any]) -> None:
        """Fill a contiguous array from the start of this memory when all work before is done."""
        kind = runtime().cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._copy(array.ctypes.data, self.address, array.nbytes, kind)
        self._stream.wait()

    def _copy(self, to: int, source: int, size: int, kind: Any) -> None:
        if size > self.size:
            raise ValueError(f'{size} bytes do not fit {self.size}')
        call('cudaMemcpyAsync', to, source, size, kind, self._stream.handle)


def scatter(
    source: int, apart: int, to: int, pitch: int, size: int, pieces: int, stream: Stream
) -> None:
    """Copy `pieces` of `size` bytes that are `apart` bytes apart to places `pitch` bytes apart."""
    kind = runtime().cudaMemcpyKind.cudaMemcpyDeviceToDevice
    call('cudaMemcpy2DAsync', to, pitch, source, apart, size, pieces, kind, stream.handle)


def zero(to: int, pitch: int, size: int, pieces: int, stream: Stream) -> None:
    """Set `pieces` of `size` bytes to zero that are `pitch` bytes apart."""
    call('cudaMemset2DAsync', to, pitch, 0, size, pieces, stream.handle)


def to_half(array: NDArray[np.float32], kind: str) -> Bits:
    """Return numbers rounded to fp16 or bf16, to nearest, ties to even, as their bits.

    What exceeds fp16 is infinity.
    """
    if kind == 'fp16':
        with np.errstate(over='ignore'):
            return array.astype(np.float16).view(np.uint16)
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded: NDArray[Any] = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return rounded.astype(np.uint16)


def from_half(bits: Bits, kind: str) -> NDArray[np.float32]:
    """Return what the bits of fp16 or bf16 numbers stand for."""
    if kind == 'fp16':
        return bits.view(np.float16).astype(np.float32)
    return (bits.astype(np.uint32) << 16).view(np.float32)
