"""Spread recordings over the processes or machines of a Ray cluster; the results are the same."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ros2_llava_phi.errors import ResultsError
from ros2_llava_phi.files.json_lines import JsonLines
from ros2_llava_phi.files.run_folder import check_new_run
from ros2_llava_phi.requirements import what_is_missing

from .asking import Asking
from .notes import RecordingNotes
from .questions import QuestionsFile
from .results import RESULTS_FILE, RUN_FILE, describe_run, open_run, read_results, read_run

# Each recording is a run of its own there; they are kept, so that the whole goes on after a kill.
PARTS = 'parts'


@dataclass(frozen=True)
class ModelChoice:
    """Which model answers, as `load` takes it."""

    model: str
    engine: str = 'auto'
    device: str = 'auto'
    precision: str = 'auto'


def run_on_ray(
    askings: Sequence[Asking], choice: ModelChoice, out: Path, with_blank: bool
) -> list[RecordingNotes]:
    """
    Ask about each recording in a process of its own, and put the results together in order.

    Uses the cluster that RAY_ADDRESS names, else this machine. The recordings and the folder must
    be the same for all: on a file system that they share.

    Raises ResultsError where Ray is missing, and what a process raises.
    """
    try:
        import ray
    except ImportError as error:
        raise ResultsError(f'--ray: {what_is_missing(error) or error}') from error
    _check_folder(askings, out, with_blank)
    ray.init(
        ignore_reinit_error=True,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    on_gpu = choice.device.startswith('cuda') or choice.engine == 'tensorrt'
    task = ray.remote(num_cpus=1, num_gpus=1 if on_gpu else 0, max_retries=3)(_replay_one)
    folders = [out.resolve() / PARTS / each.recording.name for each in askings]
    try:
        under_way = [
            task.remote(each.recording.path.resolve(), each.file, choice, folder, with_blank)
            for each, folder in zip(askings, folders, strict=True)
        ]
        notes: list[RecordingNotes] = [_result(ray, each) for each in under_way]
    finally:
        ray.shutdown()
    _put_together(folders, out)
    return notes


def _check_folder(askings: Sequence[Asking], out: Path, with_blank: bool) -> None:
    """Refuse a folder of something else before anybody works; of the model, the parts will."""
    if (out / RUN_FILE).exists():
        open_run(out, describe_run(askings, read_run(out).model, 'offline', with_blank))
    else:
        check_new_run(out / RUN_FILE, ResultsError, besides=(PARTS,))


def _replay_one(
    bag: Path, questions: QuestionsFile, choice: ModelChoice, folder: Path, with_blank: bool
) -> RecordingNotes:
    from ros2_llava_phi.assistant.load import load

    from .runs import open_recordings, run_offline

    assistant = load(choice.model, choice.engine, choice.device, choice.precision)
    (notes,) = run_offline(open_recordings([bag], questions), assistant, folder, with_blank)
    return notes


def _result(ray: Any, under_way: Any) -> RecordingNotes:
    try:
        notes: RecordingNotes = ray.get(under_way)
    except ray.exceptions.RayTaskError as error:
        # What the process raised, with a sentence for the user.
        raise error.cause from None
    return notes


def _put_together(folders: Sequence[Path], out: Path) -> None:
    runs = [read_run(folder) for folder in folders]
    recordings = {name: files for run in runs for name, files in run.recordings.items()}
    run = runs[0].model_copy(update={'recordings': recordings})
    records = [each for folder in folders for each in read_results(folder / RESULTS_FILE)]
    open_run(out, run, besides=(PARTS,))
    with JsonLines(out / RESULTS_FILE, ResultsError) as results:
        already = {each.key for each in read_results(out / RESULTS_FILE)}
        results.append([each.model_dump_json() for each in records if each.key not in already])
