"""What the processor that this runs on can do."""

import platform
from pathlib import Path

CPU_INFO = Path('/proc/cpuinfo')
# Intel's and AMD's instructions that add products of 8 bits in 32.
SUMS_OF_INT8 = {'avx512_vnni', 'avx_vnni', 'amx_int8'}


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
