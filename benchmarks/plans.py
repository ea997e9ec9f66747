"""
Plans of a full-size LLaVA-Phi with random weights, for a GPU that need not be there.

Exports in each precision and builds, each in a process of its own: time, memory and size. Needs
TensorRT-RTX (or TensorRT and a GPU, with `--target ''`), 30 GB on the disk and 16 GB of memory.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from common import Row, report
from full_size import write_checkpoint

from ros2_llava_phi.engine.export import export
from ros2_llava_phi.engine.plans import DECODER_PLAN, VISION_PLAN
from ros2_llava_phi.engine.tensorrt_build import build
from ros2_llava_phi.model.checkpoint import open_checkpoint
from ros2_llava_phi.model.config import ModelConfig

GIB = 2**30


def export_graphs(checkpoint: Path, out: Path, precision: str) -> None:
    """Export a checkpoint for TensorRT."""
    export(open_checkpoint(checkpoint), out, 'benchmark', precision, 'tensorrt')


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that work takes, and the most memory of its processes in GiB."""
    start = time.perf_counter()
    work()
    who = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    most = max(resource.getrusage(each).ru_maxrss for each in who)
    return time.perf_counter() - start, most * 1024 / GIB


def alone(work: Callable[[], object]) -> tuple[float, float]:
    """Measure work in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        return pool.submit(measured, work).result()


def main() -> None:
    """Export and build in each precision, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--target', default='sm86', help='compute capability [%(default)s]')
    parser.add_argument('--precision', nargs='+', default=['int4', 'fp16'], help='%(default)s')
    parser.add_argument('--checkpoint', type=Path, help='instead of random weights')
    parser.add_argument('--json', type=Path, help='write machine and figures to this file, too')
    chosen = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = chosen.checkpoint or folder / 'checkpoint'
        if not chosen.checkpoint:
            print('writing 6 GB of random weights', flush=True)
            alone(partial(write_checkpoint, checkpoint, ModelConfig()))
        for precision in chosen.precision:
            graphs, plans = folder / f'{precision}-graphs', folder / f'{precision}-plans'
            print(f'{precision}: exporting', flush=True)
            exporting, export_memory = alone(partial(export_graphs, checkpoint, graphs, precision))
            print(f'{precision}: building', flush=True)
            building, build_memory = alone(partial(build, graphs, plans, chosen.target))
            rows.append(
                {
                    'precision': precision,
                    'export [s]': exporting,
                    'export memory [GiB]': export_memory,
                    'build [s]': building,
                    'build memory [GiB]': build_memory,
                    'decoder plan [GB]': (plans / DECODER_PLAN).stat().st_size / 1e9,
                    'vision plan [GB]': (plans / VISION_PLAN).stat().st_size / 1e9,
                }
            )
    report(f'plans for {chosen.target or "this machine"}', rows, chosen.json)


if __name__ == '__main__':
    main()
