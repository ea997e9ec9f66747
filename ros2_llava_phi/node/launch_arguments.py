"""What the launch file's arguments mean as parameters of the node."""

from collections.abc import Mapping
from typing import Any

from .parameters import ParameterError, Parameters

# The arguments that are parameters of the same name.
SAME_NAME = ('model', 'engine', 'device', 'precision', 'autostart')


def describe(name: str) -> tuple[str, str]:
    """Return the default, as text, and the description of a parameter of the node."""
    field = Parameters.model_fields[name]
    default = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
    return default, field.description or ''


def to_parameters(given: Mapping[str, str]) -> dict[str, Any]:
    """
    Return the node's parameters that the given launch arguments set.

    given: only the arguments that somebody gave; what is left out is left to the params file.

    Raises ParameterError for cameras that are not written `name=topic`.
    """
    parameters: dict[str, Any] = {name: given[name] for name in SAME_NAME if name in given}
    if 'autostart' in given:
        parameters['autostart'] = parse_bool('autostart', given['autostart'])
    if 'use_sim_time' in given:
        parameters['use_sim_time'] = parse_bool('use_sim_time', given['use_sim_time'])
    if 'cameras' in given:
        topics = parse_cameras(given['cameras'])
        parameters['cameras'] = list(topics)
        for camera, topic in topics.items():
            parameters[f'{camera}.topic'] = topic
            parameters[f'{camera}.transport'] = given.get('transport', 'raw')
    elif 'transport' in given:
        raise ParameterError('transport goes with cameras: give both, or say it in a params file')
    return parameters


def parse_cameras(text: str) -> dict[str, str]:
    """
    Return the topic of every camera named in text such as 'front=/front/image_raw rear=/r/image'.

    A name alone leaves the topic to the node. Raises ParameterError if there is none or one twice.
    """
    topics: dict[str, str] = {}
    for part in text.split():
        name, _, topic = part.partition('=')
        if not name or name in topics:
            raise ParameterError(
                f"the cameras {text!r} are not written like 'front=/front/image_raw rear=/r/image'"
            )
        topics[name] = topic
    if not topics:
        raise ParameterError("cameras is empty; write it like 'front=/front/image_raw'")
    return topics


def parse_bool(name: str, text: str) -> bool:
    """Return whether text says true; raises ParameterError if it says neither true nor false."""
    known = {'true': True, '1': True, 'false': False, '0': False}
    if text.lower() not in known:
        raise ParameterError(f'{name} is {text!r}; it must be true or false')
    return known[text.lower()]
