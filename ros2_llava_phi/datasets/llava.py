r"""
LLaVA's JSON, as LLaVA-1.5 was trained on it (https://github.com/haotian-liu/LLaVA).

A list of records, or one a line in .jsonl:

    {"id": "000000033471", "image": "coco/train2017/000000033471.jpg",
     "conversations": [{"from": "human", "value": "<image>\nWhat colour is the bus?"},
                       {"from": "gpt", "value": "White and red."}]}

`image` may be a list, and is absent where there is only text. This project adds `scene`, which
keeps the frames of one drive together, and `kind`, the type of question.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from ros2_llava_phi.errors import DataError, counted
from ros2_llava_phi.files.atomic import write_atomically
from ros2_llava_phi.model.prompt import PICTURE_TEXT, Mark, Turn, turn

from .dialogue import Dialogue, Sample, samples
from .records import Record, RecordError, json_records


class _Message(Record):
    speaker: Literal['human', 'gpt'] = Field(alias='from')
    value: str


class _LlavaRecord(Record):
    image: tuple[str, ...] = ()
    conversations: list[_Message]
    scene: str | None = None
    kind: str | None = None

    @field_validator('image', mode='before')
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        if value is None:
            return ()
        return tuple(value) if isinstance(value, list) else (value,)


def read_llava(path: Path, pictures: Path) -> Iterator[Sample]:
    """
    Read a file in LLaVA's format; `image` is relative to the folder `pictures`.

    The scene is the record's own, else its first picture, else its place. A picture among the
    words of a request is moved to the front of it, as LLaVA does; several keep their places, and
    a single `<image>` stands for all the pictures of a record (DriveLM's export).

    Raises DataError if the file is missing, damaged, or holds no list.
    """

    def convert(place: str, content: Any) -> Dialogue:
        record = _LlavaRecord.model_validate(content)
        return Dialogue(
            source=path.stem,
            record=place,
            scene=record.scene or (record.image[0] if record.image else f'{path.stem} {place}'),
            pictures=tuple(pictures / name for name in record.image),
            turns=_turns(record),
            kind=record.kind or '',
        )

    return samples(path.stem, json_records(path), convert)


def write_llava(path: Path, pictures: Path, conversations: Iterable[Dialogue]) -> None:
    """
    Write conversations as LLaVA JSON, with `scene` and `kind`; a file that is there is replaced.

    Picture names become relative to the folder `pictures`. Raises DataError if it cannot be
    written.
    """
    records = [_content(each, pictures) for each in conversations]
    write_atomically(path, json.dumps(records, indent=1, ensure_ascii=False) + '\n', DataError)


def _content(conversation: Dialogue, pictures: Path) -> dict[str, object]:
    names = [path.relative_to(pictures).as_posix() for path in conversation.pictures]
    messages: list[dict[str, str | None]] = []
    for said in conversation.turns:
        request = (PICTURE_TEXT if isinstance(piece, Mark) else piece for piece in said.request)
        messages.append({'from': 'human', 'value': ''.join(request)})
        messages.append({'from': 'gpt', 'value': said.answer})
    return {
        'id': conversation.record,
        **({'image': names[0] if len(names) == 1 else names} if names else {}),
        'scene': conversation.scene,
        'kind': conversation.kind,
        'conversations': messages,
    }


def _turns(record: _LlavaRecord) -> tuple[Turn, ...]:
    messages = record.conversations
    if messages and messages[0].speaker == 'gpt':
        messages = messages[1:]
    speakers = [message.speaker for message in messages]
    if not messages or speakers != ['human', 'gpt'] * (len(messages) // 2):
        raise RecordError(
            'conversations: human and gpt must take turns, and gpt have the last word',
            ', '.join(speakers),
        )
    pairs = zip(islice(messages, 0, None, 2), islice(messages, 1, None, 2), strict=True)
    places = sum(message.value.count(PICTURE_TEXT) for message in messages[::2])
    each = max(1, len(record.image)) if places == 1 else 1
    if places * each != len(record.image):
        raise RecordError(
            'image: there must be as many pictures as <image> in the requests',
            f'{counted(len(record.image), "picture")}, {places} <image>',
        )
    return tuple(turn(_in_front(human.value, each), gpt.value) for human, gpt in pairs)


def _in_front(text: str, pictures: int) -> str:
    """Return a request with its only `<image>` in front, once for each picture."""
    if text.count(PICTURE_TEXT) != 1:
        return text
    words = text.replace(PICTURE_TEXT, '').strip()
    return '\n'.join([PICTURE_TEXT] * pictures + [words]) if words else PICTURE_TEXT * pictures
