"""Ask a model a benchmark's questions, and go on where a kill stopped it."""

import base64
import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import StrictStr, TypeAdapter

from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.question import Question
from ros2_llava_phi.assistant.view import View
from ros2_llava_phi.errors import DataError, FrameError, QuestionError, counted
from ros2_llava_phi.files.json_lines import JsonLines, read_lines
from ros2_llava_phi.files.run_folder import open_run
from ros2_llava_phi.files.settings import StrictSettings
from ros2_llava_phi.imaging.pictures import read_picture

from .benchmark import Benchmark, Item

# No benchmark's question is longer; whether it fits, the model's context decides.
LONGEST_PROMPT = 100_000
RUN_FILE = 'run.json'


class Run(StrictSettings):
    """Which answers a folder holds: one model's, as one engine runs it, to one benchmark."""

    benchmark: StrictStr
    model: StrictStr
    engine: StrictStr
    precision: StrictStr
    questions_hash: StrictStr


class Answered(StrictSettings):
    """One answer; fits is false where the question was too long for the model's context."""

    id: StrictStr
    answer: StrictStr
    fits: bool = True


def ask_all(
    benchmark: Benchmark,
    items: Sequence[Item],
    assistant: Assistant,
    out: Path,
    shard: tuple[int, int] = (1, 1),
    on_answer: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Answered]:
    """
    Ask the questions of a shard that have no answer yet; return all answers in the folder.

    out: holds what is answered; a run that was killed goes on there.
    shard: which of how many; each takes a stretch of the questions, as LLaVA's scripts do.
    on_answer: hears how many of how many questions of the shard are answered.

    Raises DataError if a question cannot be asked, a picture is missing or damaged, or the
    folder holds another run.
    """
    for item in items:
        _question(item)
    _check_pictures(items)
    identity = assistant.identity
    run = Run(
        benchmark=benchmark.name,
        model=str(identity),
        engine=identity.engine,
        precision=identity.precision,
        questions_hash=_hash(items),
    )
    open_run(out / RUN_FILE, run, _difference, DataError)
    ids = {item.id for item in items}
    answers = read_answers(out, ids)
    mine = _shard(items, *shard)
    todo = [item for item in mine if item.id not in answers]
    on_answer(len(mine) - len(todo), len(mine))
    with JsonLines(out / _answers_file(*shard), DataError) as file:
        for done, (item, view) in enumerate(_views(todo, assistant), len(mine) - len(todo) + 1):
            file.append([_answer(item, view, assistant).model_dump_json()])
            on_answer(done, len(mine))
    # With what other shards have answered meanwhile.
    return read_answers(out, ids)


def read_answers(folder: Path, ids: Collection[str]) -> dict[str, Answered]:
    """
    Return the answers of all shards by the items' id; a line cut off by a kill is none.

    ids: of all items.

    Raises DataError for a line that is no answer to one of them, or contradicts another.
    """
    answers: dict[str, Answered] = {}
    for path in sorted(folder.glob('answers*.jsonl')):
        sentence = '{where} is no answer ({wrong}); remove it'
        for where, each in read_lines(path, TypeAdapter(Answered), DataError, sentence):
            if each.id not in ids:
                raise DataError(f'{where}: there is no question {each.id!r}; remove it')
            if answers.setdefault(each.id, each) != each:
                raise DataError(
                    f'{where}: question {each.id!r} has another answer before; remove one'
                )
    return answers


def _difference(field: str, old: str, new: str) -> str:
    return f'of the {field.replace("_hash", "")} {old}, not {new}'


def _answers_file(shard: int, shards: int) -> str:
    return 'answers.jsonl' if shards == 1 else f'answers-{shard}-of-{shards}.jsonl'


def _views(items: Sequence[Item], assistant: Assistant) -> Iterator[tuple[Item, View]]:
    before: Path | str | None = None
    view: View | None = None
    for item in items:
        # Questions about one picture stand together; it is looked at once.
        if view is None or item.picture != before:
            view = assistant.look(Frame(_picture(item)), check=False)
            before = item.picture
        yield item, view


def _answer(item: Item, view: View, assistant: Assistant) -> Answered:
    try:
        return Answered(id=item.id, answer=assistant.ask(view, _question(item)).text)
    except QuestionError:
        # It is longer than the model's context.
        return Answered(id=item.id, answer='', fits=False)


def _question(item: Item) -> Question:
    try:
        return Question(item.prompt, max_tokens=item.max_tokens, longest=LONGEST_PROMPT)
    except QuestionError as error:
        raise DataError(f'question {item.id!r} cannot be asked: {error}') from error


def _shard(items: Sequence[Item], shard: int, shards: int) -> Sequence[Item]:
    length = -(-len(items) // shards)
    return items[(shard - 1) * length : shard * length]


def _hash(items: Sequence[Item]) -> str:
    digest = hashlib.sha256()
    for item in items:
        digest.update(f'{item.id}\0{item.prompt}\0'.encode(errors='surrogatepass'))
    return digest.hexdigest()[:12]


def _check_pictures(items: Sequence[Item]) -> None:
    absent = [
        item for item in items if isinstance(item.picture, Path) and not item.picture.is_file()
    ]
    if absent:
        raise DataError(
            f'question {absent[0].id!r}: there is no picture {absent[0].picture} '
            f'({len(absent)} of {counted(len(items), "question")} without theirs)'
        )


def _picture(item: Item) -> NDArray[np.uint8]:
    try:
        if isinstance(item.picture, Path):
            return read_picture(item.picture)
        return read_picture(base64.b64decode(item.picture, validate=False))
    except (FrameError, ValueError) as error:
        raise DataError(f'question {item.id!r}: the picture {error}') from error
