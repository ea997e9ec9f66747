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
        content = path.read_bytes()
    except (OSError, ValueError) as reason:  # a NUL within a path is a ValueError
        said = getattr(reason, 'strerror', None) or reason
        raise error(f'{path} cannot be read: {said}') from reason
    try:
        return kind.model_validate_json(content)
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


# By pydantic's types of errors, what would be right.
MUST_BE = {
    'missing': 'it is missing',
    'extra_forbidden': 'there is no such field',
    'string_type': 'it must be a text',
    'string_sub_type': 'it must be a text',
    'string_unicode': 'it is no Unicode text: half of a surrogate pair, or other bytes than UTF-8',
    'string_too_short': 'it is too short; {min_length} characters at least must stand there',
    'string_too_long': 'it is too long; at most {max_length} characters fit',
    'string_pattern_mismatch': 'it must look like {pattern}',
    'float_type': 'it must be a number',
    'float_parsing': 'it must be a number',
    'finite_number': 'it must be a finite number',
    'int_type': 'it must be a whole number',
    'int_parsing': 'it must be a whole number',
    'int_parsing_size': 'it must be a whole number of fewer digits',
    'int_from_float': 'it must be a whole number',
    'bool_type': 'it must be true or false',
    'bool_parsing': 'it must be true or false',
    'greater_than': 'it must be more than {gt}',
    'greater_than_equal': 'it must be at least {ge}',
    'less_than': 'it must be less than {lt}',
    'less_than_equal': 'it must be at most {le}',
    'literal_error': 'it must be {expected}',
    'enum': 'it must be {expected}',
    'list_type': 'it must be a list',
    'tuple_type': 'it must be a list',
    'dict_type': 'it must be names with their values',
    'mapping_type': 'it must be names with their values',
    'invalid_key': 'names must be texts',
    'none_required': 'nothing must stand there',
    'set_type': 'it must be a list',
    'frozen_set_type': 'it must be a list',
    'model_type': 'it must be names with their values',
    'model_attributes_type': 'it must be names with their values',
    'dataclass_type': 'it must be names with their values',
    'too_short': 'it is too short; {min_length} at least must stand there',
    'too_long': 'it is too long; at most {max_length} fit',
    'path_type': 'it must be a path',
    'json_invalid': 'no JSON: {error}',
}


def problems(error: ValidationError) -> list[ErrorDetails]:
    """Return what is wrong, each with a sentence of ours: what would be right."""
    found = error.errors(include_url=False)
    for each in found:
        each['msg'] = _sentence(each)
        each.pop('ctx', None)
    return found


def first_problem(error: ValidationError) -> str:
    """Return in one line which field is wrong, and why."""
    first = problems(error)[0]
    field, wrong = '.'.join(str(part) for part in first['loc']), first['msg']
    given = first['input']
    if given is None:
        wrong += ', but nothing stands there'
    elif not isinstance(given, dict | bytes):
        wrong += f', not {shown(given)!r}'
    return f'{field}: {wrong}' if field else wrong


def _sentence(error: ErrorDetails) -> str:
    if error['type'] == 'value_error':  # a sentence of ours already
        return error['msg'].removeprefix('Value error, ')
    context = error.get('ctx', {})
    if context.get('min_length') == 1:
        return 'it is empty; one at least must stand there'
    sentence = MUST_BE.get(error['type'], 'it does not fit').format_map(context)
    if error['type'] == 'string_type' and isinstance(error['input'], bool):
        # Which is what YAML makes of yes, no, on, off, true and false.
        return f'{sentence} in quotes'
    return sentence


def shown(given: Any) -> str:
    """Return the beginning of what stands in a file, for a message about it."""
    # Python does not write out numbers of thousands of digits.
    large = isinstance(given, int) and given.bit_length() > 1000
    return 'a number of hundreds of digits' if large else str(given)[:60]
