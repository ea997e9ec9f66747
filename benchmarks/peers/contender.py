"""Who is measured: a library in one precision."""

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from ros2_llava_phi.engine.engine import AnyEngine

EMBEDDINGS = 'embeddings.npy'


class Library(Protocol):
    """What a module beside this one has."""

    def write(self, checkpoint: Path, out: Path, precision: str) -> None:
        """Convert a checkpoint in transformers' layout into an empty folder `out`."""

    def load(self, checkpoint: Path, folder: Path, precision: str) -> AnyEngine:
        """Return what was written, ready to run; encode may raise NotImplementedError."""

    def streamed(self, checkpoint: Path, folder: Path, precision: str) -> int:
        """Return the bytes of weights that one step of the decoder reads."""


@dataclass(frozen=True)
class Contender:
    """
    A library in one precision.

    module: the one beside this one that runs it.
    packages: what must be installed; their versions are reported.
    ours: whether it is this project's engine, which reads the prompt as the assistant has it read:
    once up to the picture's end, and from there to the question's.
    """

    library: str
    precision: str
    module: str
    packages: tuple[str, ...]
    ours: bool = False

    @property
    def name(self) -> str:
        """Return what to call it."""
        return f'{self.library} {self.precision}'

    @property
    def missing(self) -> str:
        """Return why it cannot be measured; empty if it can."""
        absent = [name for name in self.packages if not installed(name)]
        return f'{", ".join(absent)} could not be installed' if absent else ''

    @property
    def runs(self) -> Library:
        """Import its module."""
        return cast(Library, importlib.import_module(f'.{self.module}', __package__))


OURS = Contender('llava_phi', 'int8', 'ours', ('onnxruntime',), ours=True)
FASTEST = Contender('llava_phi', 'mixed', 'ours', ('onnxruntime',), ours=True)
CONTENDERS = (
    OURS,
    FASTEST,
    Contender('llava_phi', 'int4', 'ours', ('onnxruntime',), ours=True),
    Contender('OpenVINO', 'int4', 'openvino', ('openvino', 'nncf')),
    Contender('OpenVINO', 'int8', 'openvino', ('openvino', 'nncf')),
    Contender('llama.cpp', 'Q4_0', 'llama_cpp', ('llama_cpp_python', 'gguf')),
    Contender('llama.cpp', 'Q8_0', 'llama_cpp', ('llama_cpp_python', 'gguf')),
    Contender('transformers', 'bf16', 'transformers', ('transformers', 'torch')),
)


def installed(package: str) -> str:
    """Return the version of a package; empty if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ''


def read_table(checkpoint: Path) -> NDArray[np.float16]:
    """Return the embeddings [vocab, hidden] that lie beside a checkpoint, not read yet."""
    table: NDArray[np.float16] = np.load(checkpoint / EMBEDDINGS, mmap_mode='r')
    return table
