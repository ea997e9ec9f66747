"""A whole run: recordings and questions in, results, scores and a report out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..assistant.assistant import Assistant
from .asking import Asking
from .blank import BlankPicture
from .comparison import compare
from .frames import RecordedFrame
from .offline import replay_offline
from .questions import QuestionsFile
from .record import Record
from .recording import Recording
from .results import RESULTS_FILE, ResultsError, ResultsFile, read_results
from .run_folder import describe_run, environment, open_run, read_run, write_whole
from .summary import SUMMARY_FILE, RecordingNotes, Summary, summarise
from .watch import Watch

# Hears of each frame: the recording's name and the seconds into it.
OnFrame = Callable[[str, float], None]


class NothingAskedError(ValueError):
    """No question fits any frame; the text says so."""


@dataclass(frozen=True)
class Job:
    """
    What is to be replayed.

    bags: folders or files of rosbag2, each with a name of its own.
    blank: whether to ask about a grey picture as well.
    """

    bags: Sequence[Path]
    questions: QuestionsFile
    blank: bool = False

    def open(self) -> list[Recording]:
        """Open the recordings; raises BagError or ResultsError where they cannot be asked."""
        recordings = [Recording(bag) for bag in self.bags]
        names = [each.name for each in recordings]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ResultsError(
                f'two recordings are called {twice[0]}; results tell them apart by this name'
            )
        return recordings


def run_offline(
    job: Job, assistant: Assistant, out: Path, on_frame: OnFrame = lambda name, at_s: None
) -> list[RecordingNotes]:
    """
    Ask what was not asked yet, and write it into results.jsonl in a folder.

    Raises errors of ours, each with a sentence; what was answered until then is kept.
    """
    recordings = job.open()
    askings = [Asking(each, job.questions) for each in recordings]
    run = describe_run(recordings, job.questions, assistant.identity, 'offline', job.blank)
    open_run(out, run)
    blank = BlankPicture(assistant) if job.blank else None
    notes = []
    with ResultsFile(out / RESULTS_FILE) as results:
        already = {each.key for each in results.records}
        for asking in askings:
            watch = Watch(asking.recording, asking.cameras)

            def see(frame: RecordedFrame, due: list[int], watch: Watch = watch) -> None:
                watch.see(frame, due)
                on_frame(watch.name, frame.at_s)

            for record in replay_offline(asking, assistant, blank, already, see):
                results.add(record)
            notes.append(watch.notes(asking.questions))
    return notes


def conclude(
    out: Path, notes: Sequence[RecordingNotes], baseline: Path | None = None
) -> tuple[Summary, list[Record]]:
    """Score what is in a run's folder, and write summary.json; raises ResultsError."""
    records = read_results(out / RESULTS_FILE)
    if not records:
        reasons = ' '.join(note for each in notes for note in each.notes)
        raise NothingAskedError(f'no question fits any frame. {reasons}')
    comparison = None
    if baseline is not None:
        comparison = compare(str(baseline), read_results(baseline), records)
    summary = summarise(read_run(out), environment(), notes, records, comparison)
    write_whole(out / SUMMARY_FILE, summary.model_dump_json(indent=2) + '\n')
    return summary, records
