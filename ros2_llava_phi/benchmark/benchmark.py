"""What every benchmark consists of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .scores import Scores

# LLaVA-1.5's formats (Liu et al., arXiv 2310.03744), each on a line behind the question.
SHORT_ANSWER = 'Answer the question using a single word or phrase.'
OPTION_LETTER = "Answer with the option's letter from the given choices directly."
# The most tokens that LLaVA-1.5 lets a model write, to short questions and to all others.
SHORT, LONG = 128, 1024


@dataclass(frozen=True)
class Item:
    """
    One question about one picture.

    id: tells it from all others of the benchmark.
    prompt: the whole request, which stands behind the picture.
    picture: a picture file, or a picture file's bytes in base64.
    """

    id: str
    prompt: str
    picture: Path | str
    max_tokens: int = SHORT


@dataclass(frozen=True)
class Benchmark:
    """
    A benchmark: three functions that raise BenchmarkError where a file is not as published.

    read: the questions, from the folder with the official files.
    write: predictions in the official format, from that folder, the answers by the items' id and
    the folder to write to; returns what was written, for `score`.
    score: the official figures, from that folder and a file (or folder) of predictions.
    """

    name: str
    title: str
    read: Callable[[Path], list[Item]]
    write: Callable[[Path, Mapping[str, str], Path], Path]
    score: Callable[[Path, Path], Scores]
