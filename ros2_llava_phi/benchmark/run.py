"""Ask a model a benchmark's questions, and go on where a kill stopped it."""

import base64
import binascii
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.question import Question
from ros2_llava_phi.assistant.view import View
from ros2_llava_phi.errors import DataError, QuestionError

from .answers_file import Answered, AnswersFile, Run, open_run, read_answers
from .benchmark import Benchmark, Item

# No benchmark's question is longer; whether it fits, the model's context decides.
LONGEST_PROMPT = 100_000


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
    open_run(out, run)
    ids = {item.id for item in items}
    answers = read_answers(out, ids)
    mine = _shard(items, *shard)
    todo = [item for item in mine if item.id not in answers]
    on_answer(len(mine) - len(todo), len(mine))
    with AnswersFile(out, *shard) as file:
        for done, (item, view) in enumerate(_views(todo, assistant), len(mine) - len(todo) + 1):
            file.add(_answer(item, view, assistant))
            on_answer(done, len(mine))
    # With what other shards have answered meanwhile.
    return read_answers(out, ids)


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
            f'({len(absent)} of {len(items)} questions lack theirs)'
        )


def _picture(item: Item) -> NDArray[np.uint8]:
    try:
        source = (
            item.picture
            if isinstance(item.picture, Path)
            else io.BytesIO(base64.b64decode(item.picture, validate=False))
        )
        with Image.open(source) as picture:
            return np.asarray(picture.convert('RGB'))
    except (
        OSError,
        SyntaxError,
        ValueError,
        binascii.Error,
        Image.DecompressionBombError,
    ) as error:
        named = item.picture if isinstance(item.picture, Path) else 'in base64'
        raise DataError(
            f'question {item.id!r}: the picture {named} cannot be read: {error}'
        ) from error
