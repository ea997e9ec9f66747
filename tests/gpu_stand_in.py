"""
A GPU that is none: CUDA's memory and streams on the host, TensorRT's runtime over ONNX's.

Work is put off until the stream is waited for, as on a GPU, so that whoever reads too early, or
frees what is still to be read, gets garbage. A plan is a text that names the graph it stands for.
"""

import ctypes
import json
import sys
from collections.abc import Callable
from enum import Enum
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cuda.bindings
import ml_dtypes  # noqa: F401 (teaches numpy bf16)
import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from tensorrt_operators import OPERATORS

from ros2_llava_phi.engine.exported import DECODER, PLAIN_DECODER, VISION, read_manifest
from ros2_llava_phi.engine.golden import GOLDEN
from ros2_llava_phi.engine.plans import DECODER_PLAN, VISION_PLAN, write_plan_manifest
from ros2_llava_phi.engine.tensorrt_build import profiles
from ros2_llava_phi.model.config import read_config

GPU, LIBRARY = 'Stand-in sm87', 'tensorrt 10.3.0'
ACTIVATIONS = 4096
ALIGNMENT = 256


class Status(Enum):
    cudaSuccess = 0  # noqa: N815 (named as in CUDA)
    cudaErrorMemoryAllocation = 2  # noqa: N815
    cudaErrorInvalidValue = 1  # noqa: N815


class Gpu:
    """Memory by address, what its streams have to do, and how much memory there is."""

    def __init__(self) -> None:
        self.memory: dict[int, Any] = {}
        self.queue: list[Callable[[], object]] = []
        self.captured: list[Callable[[], object]] | None = None
        self.launched = 0
        self.bytes_left = 1 << 40
        self.can_capture = True

    def put(self, work: Callable[[], object]) -> None:
        (self.queue if self.captured is None else self.captured).append(work)

    def wait(self) -> None:
        assert self.captured is None, 'a stream that captures cannot be waited for'
        while self.queue:
            self.queue.pop(0)()

    def is_inside(self, address: int, size: int) -> bool:
        return any(
            start <= address and address + size <= start + len(buffer)
            for start, buffer in self.memory.items()
        )


def cuda_runtime(gpu: Gpu) -> Any:
    ok = Status.cudaSuccess

    def malloc(size: int) -> tuple[Any, ...]:
        if size > gpu.bytes_left:
            return (Status.cudaErrorMemoryAllocation, 0)
        whole = bytearray(b'\xff' * (size + ALIGNMENT))
        start = -ctypes.addressof(ctypes.c_char.from_buffer(whole)) % ALIGNMENT
        buffer = (ctypes.c_char * size).from_buffer(whole, start)
        gpu.memory[ctypes.addressof(buffer)] = buffer
        return (ok, ctypes.addressof(buffer))

    def free(address: int) -> tuple[Any]:
        gpu.wait()
        gpu.memory.pop(address)
        return (ok,)

    def memset(address: int, value: int, size: int, stream: int) -> tuple[Any]:
        gpu.put(partial(ctypes.memset, address, value, size))
        return (ok,)

    def memset_2d(
        address: int, pitch: int, value: int, width: int, height: int, stream: int
    ) -> tuple[Any]:
        for row in range(height):
            assert gpu.is_inside(address + row * pitch, width)
            gpu.put(partial(ctypes.memset, address + row * pitch, value, width))
        return (ok,)

    def copy(to: int, source: int, size: int, kind: str, stream: int) -> tuple[Any]:
        on_gpu = to if kind == 'to device' else source
        assert gpu.is_inside(on_gpu, size)
        gpu.put(partial(ctypes.memmove, to, source, size))
        return (ok,)

    def copy_2d(
        to: int, to_pitch: int, source: int, pitch: int, width: int, height: int, *_: Any
    ) -> tuple[Any]:
        for row in range(height):
            at, start = to + row * to_pitch, source + row * pitch
            assert gpu.is_inside(at, width)
            assert gpu.is_inside(start, width)
            gpu.put(partial(ctypes.memmove, at, start, width))
        return (ok,)

    def begin(*_: Any) -> tuple[Any]:
        gpu.captured = []
        return (ok,)

    def end(_: Any) -> tuple[Any, ...]:
        captured, gpu.captured = gpu.captured, None
        return (ok, captured) if gpu.can_capture else (Status.cudaErrorInvalidValue, 0)

    def launch(graph: list[Callable[[], object]], _: Any) -> tuple[Any]:
        gpu.launched += 1
        gpu.queue.extend(graph)
        return (ok,)

    def synchronise(_: Any) -> tuple[Any]:
        gpu.wait()
        return (ok,)

    properties = SimpleNamespace(name=b'Stand-in', major=8, minor=7)
    return SimpleNamespace(
        cudaError_t=Status,
        cudaMemcpyKind=SimpleNamespace(
            cudaMemcpyHostToDevice='to device',
            cudaMemcpyDeviceToHost='to host',
            cudaMemcpyDeviceToDevice='on device',
        ),
        cudaStreamCaptureMode=SimpleNamespace(cudaStreamCaptureModeThreadLocal=1),
        cudaGetDeviceProperties=lambda _: (ok, properties),
        cudaMalloc=malloc,
        cudaFree=free,
        cudaMemsetAsync=memset,
        cudaMemset2DAsync=memset_2d,
        cudaMemcpyAsync=copy,
        cudaMemcpy2DAsync=copy_2d,
        cudaStreamCreate=lambda: (ok, 7),
        cudaStreamDestroy=lambda _: (ok,),
        cudaStreamSynchronize=synchronise,
        cudaStreamBeginCapture=begin,
        cudaStreamEndCapture=end,
        cudaGraphInstantiate=lambda graph, flags: (ok, graph),
        cudaGraphDestroy=lambda graph: (ok,),
        cudaGraphExecDestroy=lambda graph: (ok,),
        cudaGraphLaunch=launch,
    )


class Context:
    """Runs a graph on what its names are bound to, as they are when it is put into the stream."""

    def __init__(self, gpu: Gpu, graph: onnx.ModelProto, ranges: list[Any]) -> None:
        self._gpu = gpu
        self._evaluator = ReferenceEvaluator(graph, new_ops=OPERATORS)
        self._inputs = {value.name: value.type.tensor_type for value in graph.graph.input}
        self._outputs = [value.name for value in graph.graph.output]
        self._ranges = ranges
        self._profile = 0
        self._memory = 0
        self._addresses: dict[str, int] = {}
        self._shapes = {
            name: tuple(d.dim_value for d in kind.shape.dim)
            for name, kind in self._inputs.items()
            if all(d.HasField('dim_value') for d in kind.shape.dim)
        }

    def set_device_memory(self, address: int, size: int) -> None:
        assert size >= ACTIVATIONS
        self._memory = address

    def set_optimization_profile_async(self, profile: int, stream: int) -> bool:
        self._profile = profile
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert len(self._inputs[name].shape.dim) == len(shape)
        self._shapes[name] = shape
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        assert name in self._inputs or name in self._outputs
        assert address % ALIGNMENT == 0
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        addresses, shapes = dict(self._addresses), dict(self._shapes)
        if self._ranges:
            taken = self._ranges[self._profile]
            if not taken.least <= shapes['embeddings'][1] <= taken.most:
                return False
        if set(addresses) != {*self._inputs, *self._outputs} or not self._memory:
            return False

        def run() -> None:
            inputs = {}
            for name, kind in self._inputs.items():
                dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
                size = int(np.prod(shapes[name])) * dtype.itemsize
                assert self._gpu.is_inside(addresses[name], size), name
                data = ctypes.string_at(addresses[name], size)
                inputs[name] = np.frombuffer(data, dtype).reshape(shapes[name])
            outputs: Any = self._evaluator.run(None, inputs)
            for name, output in zip(self._outputs, outputs, strict=True):
                whole = np.ascontiguousarray(output)
                assert self._gpu.is_inside(addresses[name], whole.nbytes), name
                ctypes.memmove(addresses[name], whole.ctypes.data, whole.nbytes)

        self._gpu.put(run)
        return True


def tensorrt(gpu: Gpu) -> Any:
    def deserialise(plan: Any) -> Any:
        try:
            told = json.loads(bytes(plan))
        except ValueError:
            return None
        graph = onnx.load(told['graph'])
        config = read_config(Path(told['graph']).parent)
        ranges = profiles(config) if told['dynamic'] else []

        def context(strategy: str) -> Context:
            assert strategy == 'user managed'
            return Context(gpu, graph, ranges)

        return SimpleNamespace(device_memory_size_v2=ACTIVATIONS, create_execution_context=context)

    module: Any = ModuleType('tensorrt')
    module.__version__ = LIBRARY.split()[1]
    module.ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED='user managed')
    module.Logger = lambda severity: None
    module.Logger.WARNING = 2
    module.Runtime = lambda logger: SimpleNamespace(deserialize_cuda_engine=deserialise)
    return module


def install(patch: pytest.MonkeyPatch) -> Gpu:
    """Put the stand-in in the place of CUDA and TensorRT."""
    gpu = Gpu()
    runtime = cuda_runtime(gpu)
    patch.setattr(cuda.bindings, 'runtime', runtime, raising=False)
    patch.setitem(sys.modules, 'cuda.bindings.runtime', runtime)
    patch.setitem(sys.modules, 'tensorrt', tensorrt(gpu))
    return gpu


def write_plans(export: Path, out: Path, native: bool) -> Path:
    """Write a folder of plans as a build for the stand-in would."""
    out.mkdir(exist_ok=True)
    manifest = read_manifest(export)
    for name in ('embeddings.npy', 'tokenizer.json', 'config.json', GOLDEN):
        (out / name).write_bytes((export / name).read_bytes())
    decoder = DECODER if native else PLAIN_DECODER
    for plan, graph in ((VISION_PLAN, VISION), (DECODER_PLAN, decoder)):
        told = {'graph': str(export / graph), 'precision': manifest.precision}
        (out / plan).write_text(json.dumps({**told, 'dynamic': plan == DECODER_PLAN}))
    write_plan_manifest(out, manifest, LIBRARY, GPU, native)
    return out
