"""
LingoQA (Marcu et al., arXiv 2312.14115): questions about five pictures in four seconds.

A Parquet file with the columns question_id, segment_id, images (a list of names), question and
answer. Its licence forbids operating a vehicle or robot with a model trained on it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ros2_llava_phi.errors import DataError
from ros2_llava_phi.model.prompt import Turn
from ros2_llava_phi.requirements import what_is_missing

from .clips import about_frames, evenly
from .dialogue import Dialogue, Sample, samples
from .records import Record, RecordError, Records

COLUMNS = ('segment_id', 'images', 'question', 'answer')


class _Question(Record):
    segment_id: str
    images: list[str]
    question: str
    answer: str


def read_lingoqa(path: Path, pictures: Path, frames: int) -> Iterator[Sample]:
    """
    Read a Parquet file of LingoQA; a row is a conversation.

    pictures: the folder that has images/ in it. frames: how many of the five to take. scene: the
    segment.

    Raises DataError if the file is missing or damaged, lacks a column, or pyarrow is missing.
    """

    def convert(place: str, content: Any) -> Dialogue:
        row = _Question.model_validate(content)
        if not row.images:
            raise RecordError('images: there is none')
        names = evenly(row.images, frames)
        return Dialogue(
            source=path.stem,
            record=place,
            scene=row.segment_id,
            pictures=tuple(pictures / name for name in names),
            turns=(Turn(about_frames(len(names), row.question), row.answer),),
        )

    return samples(path.stem, _rows(path), convert)


def _rows(path: Path) -> Records[Any]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise DataError(f'{path} is a Parquet file; {what_is_missing(error) or error}') from error
    try:
        with parquet.ParquetFile(path) as file:
            missing = [column for column in COLUMNS if column not in file.schema_arrow.names]
            if missing:
                raise DataError(
                    f'{path}: there is no column {missing[0]!r}; it must have {", ".join(COLUMNS)}'
                )
            number = 0
            for batch in file.iter_batches(columns=list(COLUMNS)):
                for row in batch.to_pylist():
                    yield f'row {number}', row
                    number += 1
    except DataError:
        raise
    except (ArrowException, OSError, ValueError) as error:
        raise DataError(f'{path}: no Parquet file that can be read: {error}') from error
