"""
LLaVA-Phi with random weights on a CPU: our engine beside other libraries, and the report on it.

Each library gets the same weights, is converted in a process of its own, and then measured, in
rounds that go through all of them, in a process of its own, on two cores. Takes 36 GB on the disk,
13 GB of memory and about 25 minutes, in which nothing else should run.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import TypeVar

import numpy as np
from peers.contender import CONTENDERS, EMBEDDINGS, Contender, installed
from peers.workload import THREADS, Outputs, Run, cores, measure, most_memory, timed
from performance import Measurements, Written, distance, write_report

from ros2_llava_phi.model.config import ModelConfig, TextConfig, VisionConfig

ROOT = Path(__file__).resolve().parent.parent
# As wide as the whole model, so that every kernel is the same.
SMALL = ModelConfig(vision=VisionConfig(layers=3), text=TextConfig(layers=2))
REFERENCE = 'transformers bf16'

Result = TypeVar('Result')


def alone(function: Callable[..., Result], *arguments: object) -> Result:
    """Run a function in a process of its own, on two cores."""
    spawn = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(1, spawn, os.sched_setaffinity, (0, cores()[:THREADS])) as pool:
        return pool.submit(function, *arguments).result()


def write_checkpoint(config: ModelConfig, folder: Path) -> None:
    """Write random weights in transformers' layout, and the embeddings by themselves."""
    import full_size

    from ros2_llava_phi.model.checkpoint import open_checkpoint
    from ros2_llava_phi.model.convert import convert

    with tempfile.TemporaryDirectory(dir=folder.parent) as drawn:
        full_size.write_checkpoint(Path(drawn), config)
        checkpoint = open_checkpoint(Path(drawn))
        convert(checkpoint, folder, 'hf')
        table = checkpoint.read(dtype=None).decoder.embed_tokens.weight
    np.save(folder / EMBEDDINGS, table.detach().float().numpy().astype(np.float16))


def write(contender: Contender, checkpoint: Path, folder: Path) -> Written:
    """Convert the checkpoint for a library."""
    folder.mkdir()
    _, seconds = timed(lambda: contender.runs.write(checkpoint, folder, contender.precision))
    size = sum(file.stat().st_size for file in folder.iterdir())
    return Written(seconds, most_memory(), size)


def run(contender: Contender, checkpoint: Path, folder: Path) -> tuple[Run, Outputs, int]:
    """Measure a library once; return also how many bytes of weights a token reads."""
    library, precision = contender.runs, contender.precision
    streamed = library.streamed(checkpoint, folder, precision)
    files = folder if any(folder.iterdir()) else checkpoint
    measured, outputs = measure(
        lambda: library.load(checkpoint, folder, precision), files, contender.ours
    )
    return measured, outputs, streamed


def bandwidth() -> float:
    """Return how many bytes a second can be read."""
    from peers.bandwidth import read_bandwidth

    return read_bandwidth()


def measure_all(config: ModelConfig, folder: Path, rounds: int) -> Measurements:
    """
    Write the models into a folder, or take those that are there, and measure them.

    A library that fails is left out from there on, and its reason is kept.
    """
    from common import machine

    about = machine()
    about.pop('ros')
    about['niceness'] = str(os.nice(0))
    packages = {package for contender in CONTENDERS for package in contender.packages}
    result = Measurements(
        machine=about, versions={name: installed(name) for name in sorted(packages)}
    )
    outputs: dict[str, Outputs] = {}
    checkpoint = folder / 'checkpoint'
    if not checkpoint.exists():
        print('writing random weights', flush=True)
        alone(write_checkpoint, config, checkpoint)
    result.missing = {each.name: each.missing for each in CONTENDERS if each.missing}

    def attempt(contender: Contender, what: str, function: Callable[..., Result]) -> Result | None:
        print(f'{contender.name}: {what}', flush=True)
        try:
            return alone(function, contender, checkpoint, folder / contender.name)
        except Exception as error:  # whatever a library fails with
            reason = ' '.join(f'{type(error).__name__}: {error}'.split())
            print(f'  failed: {reason}', flush=True)
            result.missing[contender.name] = f'{what} failed with {reason[:200]}'
            return None

    def present() -> list[Contender]:
        return [each for each in CONTENDERS if each.name not in result.missing]

    for contender in present():
        note = folder / f'{contender.name}.json'
        if not note.exists():
            shutil.rmtree(folder / contender.name, ignore_errors=True)
            if written := attempt(contender, 'conversion', write):
                note.write_text(json.dumps(vars(written)))
        if note.exists():
            result.written[contender.name] = Written(**json.loads(note.read_text()))
    for number in range(rounds):
        result.bandwidth.append(alone(bandwidth))
        this: dict[str, Run] = {}
        # Back and forth, so that what drifts does not favour anybody.
        for contender in present()[:: -1 if number % 2 else 1]:
            if measured := attempt(contender, f'round {number + 1}', run):
                this[contender.name], outputs[contender.name], streamed = measured
                result.streamed[contender.name] = streamed
        result.rounds.append(this)
    if REFERENCE in outputs:
        for name, found in outputs.items():
            result.distances[name] = distance(found, outputs[REFERENCE])
    return result


def main() -> None:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--small', action='store_true', help='two layers, to try it in a minute')
    parser.add_argument('--rounds', type=int, default=2, help='0 only converts [%(default)s]')
    parser.add_argument('--models', type=Path, help='keep the models in this folder')
    parser.add_argument('--out', type=Path, help='folder of the report [docs, or build if small]')
    parser.add_argument('--json', type=Path, help='write all figures to this file, too')
    parser.add_argument('--figures', type=Path, help='only write the report, of such a file')
    chosen = parser.parse_args()
    os.environ.update(
        OMP_NUM_THREADS=str(THREADS), HF_HUB_OFFLINE='1', TRANSFORMERS_VERBOSITY='error'
    )
    config = SMALL if chosen.small else ModelConfig()
    out = chosen.out or ROOT / ('build' if chosen.small else 'docs')
    kept = chosen.models
    for each in (out, kept):
        if each is not None:
            each.mkdir(parents=True, exist_ok=True)
    if chosen.figures is not None:
        write_report(Measurements.from_json(chosen.figures.read_text()), config, out)
        return
    with nullcontext(kept) if kept else tempfile.TemporaryDirectory() as folder:
        result = measure_all(config, Path(folder), chosen.rounds)
    if chosen.json is not None:
        chosen.json.write_text(result.to_json())
    if not chosen.rounds:
        return
    write_report(result, config, out)
    print(f'{out / "performance.md"} is written')


if __name__ == '__main__':
    main()
