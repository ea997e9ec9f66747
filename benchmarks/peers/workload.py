"""
What is measured: one picture, a question about it, its answer, then further questions.

Every library gets the same picture, embeddings and tokens, drawn at random, on two cores.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from ros2_llava_phi.engine.branches import Branches
from ros2_llava_phi.engine.engine import AnyEngine, Floats

THREADS = 2
BEFORE_PICTURE, QUESTION, ANSWER, QUESTIONS = 35, 20, 32, 8
FIRST_TOKEN, LAST_TOKEN = 1000, 50000  # between which questions are drawn

Result = TypeVar('Result')


@dataclass(frozen=True)
class Task:
    """
    What an engine is to do.

    pixels: the picture, [3, side, side]. prompt: embeddings of the first question with all that
    stands before it, in the parts in which they are read. prefix: how many tokens of that every
    question has. further: embeddings of the other questions. steps: decode steps of the answer.
    """

    pixels: Floats
    prompt: list[Floats]
    prefix: int
    further: list[Floats]
    steps: int


@dataclass(frozen=True)
class Times:
    """
    How long an engine took for a task, in seconds.

    encode: the picture; None where it is not measured. prefill: from there to the first question's
    first token. answer: its other tokens. further: from question to first token, one by one.
    together: the answers to all questions, asked together; None where that is not measured.
    """

    encode: float | None
    prefill: float
    answer: float
    further: list[float]
    together: float | None = None


@dataclass(frozen=True)
class Outputs:
    """What was computed: the picture's embeddings (None if not), and the prompt's logits."""

    picture: Floats | None
    logits: Floats


@dataclass(frozen=True)
class Run:
    """
    One process of one library.

    load: seconds until it is ready, its files being in the page cache.
    memory: the largest resident set, in bytes.
    others: share of the processor's time that other processes used meanwhile.
    """

    load: float
    times: Times
    memory: int
    others: float


def cores() -> list[int]:
    """Return the cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def measure(load: Callable[[], AnyEngine], files: Path, apart: bool) -> tuple[Run, Outputs]:
    """
    Load a library, and measure it in a task that it has done once before.

    files: a folder or file with its weights. apart: whether the question is read apart from what
    stands before it.
    """
    _read(files)
    busy = processor_time()
    engine, loaded = timed(load)
    task = draw_task(engine, apart)
    perform(engine, replace(task, steps=1, further=task.further[:1]))
    times, outputs = perform(engine, task)
    run = Run(loaded, times, most_memory(), busy_elsewhere(busy))
    return run, outputs


def draw_task(engine: AnyEngine, apart: bool) -> Task:
    """Return the task, the same for every engine of one model."""
    draw = np.random.default_rng(0)
    vision = engine.config.vision
    shape = (engine.config.image_tokens, engine.config.text.hidden_size)
    pixels = draw.standard_normal((3, vision.image_size, vision.image_size), np.float32)
    picture = draw.standard_normal(shape, np.float32) / 2
    before = draw.integers(FIRST_TOKEN, LAST_TOKEN, BEFORE_PICTURE).tolist()
    questions = draw.integers(FIRST_TOKEN, LAST_TOKEN, (QUESTIONS, QUESTION)).tolist()
    first, *further = (engine.embed(tokens) for tokens in questions)
    prefix = np.concatenate([engine.embed(before), picture])
    prompt = [prefix, first] if apart else [np.concatenate([prefix, first])]
    return Task(pixels, prompt, len(prefix), further, ANSWER - 1)


def perform(engine: AnyEngine, task: Task) -> tuple[Times, Outputs]:
    """Have an engine do a task, greedily and with a new cache."""
    cache = engine.new_cache()
    try:
        picture, encode = timed(lambda: engine.encode(task.pixels))
    except NotImplementedError:
        picture, encode = None, None

    def read() -> Floats:
        return [engine.prefill(part, cache) for part in task.prompt][-1]

    def answer() -> None:
        token = int(logits.argmax())
        for _ in range(task.steps):
            token = int(engine.decode(token, cache).argmax())

    def ask(question: Floats) -> int:
        cache.rewind(task.prefix)
        return int(engine.prefill(question, cache).argmax())

    def answer_all() -> None:
        questions = [task.prompt[-1], *task.further]
        cache.rewind(task.prefix)
        branches = Branches(task.prefix)
        layout = branches.append([(i, len(question)) for i, question in enumerate(questions)])
        tokens = engine.extend(np.concatenate(questions), cache, layout).argmax(-1)
        for _ in range(task.steps):
            layout = branches.append([(i, 1) for i in range(len(questions))])
            tokens = engine.extend(engine.embed(tokens.tolist()), cache, layout).argmax(-1)

    logits, prefill = timed(read)
    _, answering = timed(answer)
    further = [timed(partial(ask, question))[1] for question in task.further]
    # Whose questions are read apart are ours.
    together = timed(answer_all)[1] if len(task.prompt) > 1 else None
    return Times(encode, prefill, answering, further, together), Outputs(picture, logits)


def timed(do: Callable[[], Result]) -> tuple[Result, float]:
    """Return what a function returns, and the seconds that it took."""
    start = time.perf_counter()
    result = do()
    return result, time.perf_counter() - start


def most_memory() -> int:
    """Return the largest resident set of this process so far, in bytes (proc(5))."""
    status = Path('/proc/self/status').read_text()
    return int(status.partition('VmHWM:')[2].split()[0]) * 1024


def processor_time() -> tuple[float, float, float]:
    """Return seconds: by the clock, of this process, and of all that the machine did (proc(5))."""
    user, nice, system, _, _, irq, soft_irq = (
        int(field) for field in Path('/proc/stat').read_text().split()[1:8]
    )
    machine = (user + nice + system + irq + soft_irq) / os.sysconf('SC_CLK_TCK')
    return time.monotonic(), time.process_time(), machine


def busy_elsewhere(since: tuple[float, float, float]) -> float:
    """Return which share of the machine's time others used since processor_time() was asked."""
    clock, own, machine = (now - then for now, then in zip(processor_time(), since, strict=True))
    return max(0.0, machine - own) / (clock * (os.cpu_count() or 1))


def _read(path: Path) -> None:
    """Have the page cache hold what it has room for of a folder's files, or of one file."""
    for file in [path] if path.is_file() else sorted(path.rglob('*')):
        if file.is_file():
            with file.open('rb') as stream:
                while stream.read(1 << 24):
                    pass
