"""TensorRT, whichever kind of it is installed, and what it can do: asked here and nowhere else."""

import importlib
import re
from types import ModuleType

from ros2_llava_phi.errors import ModelError

MODULES = ('tensorrt', 'tensorrt_rtx')
# Compute capability of the first GPUs with bf16, which all plans compute attention in.
LEAST_CAPABILITY = 80
NATIVE_OPERATORS = ('TRT_Attention', 'TRT_KVCacheUpdate', 'RotaryEmbedding')


def load_tensorrt() -> ModuleType:
    """Return TensorRT, or TensorRT-RTX where only that is; raises ModelError if there is none."""
    for name in MODULES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ModelError(
        'TensorRT is not installed: JetPack brings it for the Python of the system; on a desktop, '
        '`pip install tensorrt-rtx` or `tensorrt`'
    )


def has_native_layers(trt: ModuleType) -> bool:
    """Return whether graphs can ask for fused attention, rotary embeddings and cache updates."""
    logger = trt.Logger(trt.Logger.ERROR)
    parser = trt.OnnxParser(trt.Builder(logger).create_network(strongly_typed(trt)), logger)
    return all(parser.supports_operator(name) for name in NATIVE_OPERATORS)


def targets(trt: ModuleType) -> dict[str, object]:
    """Return what can be built for without being there, by name (sm86); empty if nothing can."""
    kinds = getattr(trt, 'ComputeCapability', None)
    if kinds is None:
        return {}
    return {
        name.lower(): kind for name, kind in kinds.__members__.items() if has_bf16(name.lower())
    }


def has_bf16(gpu: str) -> bool:
    """Return whether a GPU (sm86, or as gpu_name has it) is one that plans can run on."""
    capability = re.search(r'\bsm(\d+)$', gpu)
    return capability is not None and int(capability[1]) >= LEAST_CAPABILITY


def strongly_typed(trt: ModuleType) -> int:
    """Return the flags of a network whose types are those of the graph, as all are in 11."""
    kind = getattr(trt.NetworkDefinitionCreationFlag, 'STRONGLY_TYPED', None)
    return 0 if kind is None else 1 << int(kind)


def library_name(trt: ModuleType) -> str:
    """Return which TensorRT this is, as plans are bound to it."""
    return f'{trt.__name__} {trt.__version__}'
