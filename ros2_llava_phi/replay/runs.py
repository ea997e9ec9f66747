"""A whole run: recordings and questions in, results, scores and a report out."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from ros2_llava_phi.assistant.answer import ModelIdentity
from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.bags.recorded_frame import RecordedFrame
from ros2_llava_phi.bags.recording import Recording, recording_name
from ros2_llava_phi.client.robot import Robot
from ros2_llava_phi.errors import ResultsError
from ros2_llava_phi.files.atomic import write_atomically
from ros2_llava_phi.files.json_lines import JsonLines

from .asking import Asking
from .comparison import compare
from .live import replay_live
from .notes import NoteTaker, RecordingNotes, blind_cameras, decoding_notes
from .offline import BlankPicture, replay_offline
from .questions import QuestionsFile
from .record import Record
from .report import REPORT_FILE, report
from .results import (
    RESULTS_FILE,
    Run,
    describe_run,
    environment,
    open_run,
    read_results,
    read_run,
)
from .summary import SUMMARY_FILE, Summary, summarise

# Hears of each frame: the recording's name and the seconds into it.
OnFrame = Callable[[str, float], None]
# Asks about one recording, and yields records in groups that are written whole or not at all.
Ask = Callable[..., Iterator[list[Record]]]


def open_recordings(bags: Sequence[Path], questions: QuestionsFile) -> list[Asking]:
    """
    Open bags, each with a name of its own, and find in them what is asked about.

    Raises errors of ours, each with a sentence.
    """
    by_name: dict[str, Path] = {}
    for bag in bags:
        name = recording_name(bag)
        if name not in by_name:
            by_name[name] = bag
            continue
        if by_name[name].resolve() == bag.resolve():
            raise ResultsError(f'{bag} is given twice; once is enough')
        raise ResultsError(
            f'{by_name[name]} and {bag} are both called {name}, by which results tell recordings '
            'apart; rename one, or ask about each into a folder of its own'
        )
    return [Asking(Recording(bag), questions) for bag in bags]


def run_offline(
    askings: Sequence[Asking],
    assistant: Assistant,
    out: Path,
    with_blank: bool = False,
    on_frame: OnFrame = lambda name, at_s: None,
) -> list[RecordingNotes]:
    """
    Ask the assistant what was not asked yet, and write it into results.jsonl in a folder.

    with_blank: whether to ask about a grey picture as well.

    Raises errors of ours, each with a sentence; what was answered until then is kept.
    """
    blank = BlankPicture(assistant) if with_blank else None
    run = describe_run(askings, assistant.identity, 'offline', with_blank)
    ask = partial(replay_offline, assistant=assistant, blank=blank)
    return _write_results(askings, out, run, ask, on_frame)


def run_live(
    askings: Sequence[Asking],
    robot: Robot,
    identity: ModelIdentity,
    out: Path,
    way: str,
    on_frame: OnFrame = lambda name, at_s: None,
) -> list[RecordingNotes]:
    """
    Ask a running node while the recordings are played to it; else as `run_offline`.

    identity: of the model that the node says it has.
    way: how they are played, which must be the same for a run to go on.
    """
    run = describe_run(askings, identity, way, False)
    return _write_results(askings, out, run, partial(replay_live, robot=robot), on_frame)


def _write_results(
    askings: Sequence[Asking], out: Path, run: Run, ask: Ask, on_frame: OnFrame
) -> list[RecordingNotes]:
    open_run(out, run)
    notes = []
    with JsonLines(out / RESULTS_FILE, ResultsError) as results:
        already = {each.key for each in read_results(out / RESULTS_FILE)}
        for asking in askings:
            taker = NoteTaker(asking.recording, asking.cameras)

            def see(frame: RecordedFrame, due: list[int], taker: NoteTaker = taker) -> None:
                taker.see(frame, due)
                on_frame(taker.name, frame.at_s)

            for group in ask(asking, already=already, on_frame=see):
                results.append([each.model_dump_json() for each in group])
            notes.append(taker.notes(asking.questions))
    return notes


def conclude(
    askings: Sequence[Asking],
    out: Path,
    notes: Sequence[RecordingNotes],
    baseline: Path | None = None,
) -> Summary:
    """
    Score what is in a run's folder, and write summary.json and report.html.

    Raises ResultsError where no question fits any frame, for files that cannot be used, and at the
    end for a camera of which no frame can be decoded.
    """
    records = read_results(out / RESULTS_FILE)
    if not records:
        reasons = ' '.join(note for each in notes for note in each.notes)
        raise ResultsError(f'no question fits any frame. {reasons}')
    comparison = None
    if baseline is not None:
        comparison = compare(
            str(baseline), _as_named_now(read_results(baseline), askings), records
        )
    undecodable = decoding_notes(records)
    notes = [
        each.model_copy(update={'notes': (*each.notes, *undecodable.get(each.name, ()))})
        for each in notes
    ]
    summary = summarise(read_run(out), environment(), notes, records, comparison)
    write_atomically(out / SUMMARY_FILE, summary.model_dump_json(indent=2) + '\n', ResultsError)
    page = report(summary, records, askings)
    write_atomically(out / REPORT_FILE, page, ResultsError)
    if blind := blind_cameras(records):
        raise ResultsError(f'{"; ".join(blind)}; all that there is stands in {out / REPORT_FILE}')
    return summary


def _as_named_now(records: Sequence[Record], askings: Sequence[Asking]) -> list[Record]:
    """Return the records of another run, in which a camera may have had another of its names."""
    names = {each.recording.name: each.names for each in askings}
    return [
        each.model_copy(update={'camera': names[each.recording].own_name(each.camera)})
        if each.recording in names
        else each
        for each in records
    ]
