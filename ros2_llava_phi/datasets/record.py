"""From a data set's records to samples: a bad one is dropped, and says which field is wrong."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from .conversation import Conversation, Dropped, Sample


class Record(BaseModel):
    """A record's fields as its format has them; others are passed over, types are not bent."""

    model_config = ConfigDict(strict=True, frozen=True)


class RecordError(ValueError):
    """A record that is no sample: the reason with its field, and the detail."""

    def __init__(self, reason: str, detail: str = '') -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def samples(
    source: str,
    records: Iterable[tuple[str, Any]],
    convert: Callable[[str, Any], Conversation],
) -> Iterator[Sample]:
    """
    Yield a conversation for each record, or what was wrong with it.

    records: with their places; a RecordError in place of one says why there is none.
    convert: makes a conversation of a place and a record, or raises RecordError or pydantic's
    ValidationError.
    """
    for place, record in records:
        try:
            if isinstance(record, RecordError):
                raise record
            yield convert(place, record)
        except RecordError as error:
            yield Dropped(source, place, error.reason, error.detail)
        except ValidationError as error:
            yield Dropped(source, place, *_first(error))


def _first(error: ValidationError) -> tuple[str, str]:
    first = error.errors(include_url=False, include_context=False)[0]
    names = [str(part) for part in first['loc'] if not isinstance(part, int)]
    whole = '.'.join(str(part) for part in first['loc'])
    if first['type'] == 'model_type':
        return f'{".".join(names) or "the record"}: it must be an object', whole
    field = '.'.join(names)
    return f'{field}: {first["msg"][:1].lower()}{first["msg"][1:]}', whole
