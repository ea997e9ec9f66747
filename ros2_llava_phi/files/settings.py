"""Settings in files: read strictly, and whatever is wrong is said in one line with its field."""

import difflib
import json
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from ros2_llava_phi.errors import FileError, InputError

Settings = dict[str, Any]
Content = TypeVar('Content', bound=BaseModel)


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError('it must be a number')
    return value


# A float that `yes` is not. Text may be one, as in CSV.
Number = Annotated[float, BeforeValidator(_no_truth)]


class StrictSettings(BaseModel):
    """Settings as a file has them: numbers are finite, and an unknown field is refused."""

    # With any constraint, pydantic refuses text that is no Unicode; without one, it does not look.
    model_config = ConfigDict(frozen=True, extra='forbid', allow_inf_nan=False, str_min_length=0)

    @model_validator(mode='before')
    @classmethod
    def _know_every_field(cls, content: Any) -> Any:
        for name in content if isinstance(content, dict) else ():
            if name not in cls.model_fields:
                near = difflib.get_close_matches(str(name), cls.model_fields, 1)
                right = (
                    f'did you mean {near[0]}?' if near else f'use {", ".join(cls.model_fields)}'
                )
                raise ValueError(f'there is no field {str(name)[:60]!r}; {right}')
        return content


def read_json(path: Path, kind: type[Content], error: type[InputError] = FileError) -> Content:
    """Read a JSON file as a pydantic model; raises `error`, which names the file and the field."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as reason:
        raise error(f'{path} cannot be read: {reason.strerror}') from reason
    except ValidationError as reason:
        raise error(f'{path}: {first_problem(reason)}') from reason


def read_settings(path: Path, error: type[InputError] = FileError) -> Settings:
    """Read a JSON file of settings by name; raises `error`, which names the file."""
    try:
        settings: Any = json.loads(path.read_bytes())
    except OSError as reason:
        raise error(f'{path} cannot be read: {reason.strerror}') from reason
    except (ValueError, RecursionError) as reason:
        raise error(f'{path} is no JSON: {reason}') from reason
    if not isinstance(settings, dict):
        raise error(f'{path} holds a {type(settings).__name__}, not settings by name')
    return settings


def problems(error: ValidationError) -> list[ErrorDetails]:
    """Return what is wrong, as pydantic has it, but our own sentences as we have written them."""
    found = error.errors(include_url=False, include_context=False)
    for each in found:
        each['msg'] = each['msg'].removeprefix('Value error, ')
    return found


def first_problem(error: ValidationError) -> str:
    """Return in one line which field is wrong, and why."""
    first = problems(error)[0]
    field, wrong = '.'.join(str(part) for part in first['loc']), first['msg']
    given = '' if isinstance(first['input'], dict | bytes) else f', not {shown(first["input"])!r}'
    return f'{field}: {wrong}{given}' if field else f'{wrong}{given}'


def shown(given: Any) -> str:
    """Return the beginning of what stands in a file, for a message about it."""
    # Python does not write out numbers of thousands of digits.
    large = isinstance(given, int) and given.bit_length() > 1000
    return 'a number of hundreds of digits' if large else str(given)[:60]
