"""
What the launch file's arguments mean as parameters of the node.

Needs the standard library and PyYAML only: `ros2 launch` runs with the system's Python, which need
not have what the node has.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ros2_llava_phi.errors import ParameterError

# The arguments that are parameters of the same name; `make format` writes what parameters.py says.
DESCRIPTIONS = {
    'model': 'Folder of the model, or name of a packaged model',
    'engine': (
        'What runs the model: onnxruntime an exported one, tensorrt plans, torch a checkpoint; '
        'auto: what fits the folder'
    ),
    'device': 'Device that the engine runs on: cpu, cuda, cuda:1; auto: cuda for plans, else cpu',
    'precision': (
        'Precision of the weights: fp32, bf16, fp16 for torch; auto: fp32, or what was exported'
    ),
    'autostart': 'Configure and activate without a lifecycle manager when started',
}


# The others.
NAMES = (
    *DESCRIPTIONS,
    *('cameras', 'transport', 'params_file', 'namespace', 'node_name'),
    *('log_level', 'use_sim_time'),
)


class Used(str):
    """
    The value of an argument that an include of the launch file has used.

    To whoever reads it, it is as it was; given anew, it is a plain str again.
    """


def take(configurations: Mapping[str, str], command_line: Sequence[str]) -> dict[str, str]:
    """
    Return the arguments that an include of the launch file is given.

    configurations: all that stand where the launch file is included. command_line: the arguments
    of `ros2 launch`, such as 'use_sim_time:=true'; they hold for every include.

    Raises ParameterError for one that was given to an include before, as launch goes on with it:
    the second robot would listen to the cameras of the first.
    """
    given = {name: configurations[name] for name in NAMES if name in configurations}
    leaked = [
        name
        for name, value in given.items()
        if isinstance(value, Used) and f'{name}:={value}' not in command_line
    ]
    if leaked:
        names = ', '.join(leaked)
        raise ParameterError(
            f'this launch file is included again, and an include before was given {names}, which '
            f'launch hands on: give {names} to each include, or put each into a GroupAction'
        )
    return given


def put_back(configurations: MutableMapping[str, str], given: Mapping[str, str]) -> None:
    """Leave to who includes the launch file what was given, as used, and none of our defaults."""
    for name in NAMES:
        configurations.pop(name, None)
        if name in given:
            configurations[name] = Used(given[name])


def find_params_file(text: str) -> str:
    """Return the path of a params file, absolute; raises ParameterError if there is none."""
    try:
        path = Path(text).expanduser().absolute()
    except RuntimeError:  # ~somebody who is not known
        path = Path(text)
    if not path.is_file():
        raise ParameterError(f'there is no params file {text!r}; launch would go on without it')
    return str(path)


def read_defaults(config: Path) -> dict[str, str]:
    """Return the default of every argument that a params file has, as text to write in a shell."""
    parameters = yaml.safe_load(config.read_text())['/**']['ros__parameters']
    defaults = {name: str(parameters[name]) for name in DESCRIPTIONS}
    defaults['autostart'] = defaults['autostart'].lower()
    return {**defaults, 'cameras': ' '.join(parameters['cameras'])}


def to_parameters(given: Mapping[str, str]) -> dict[str, Any]:
    """
    Return the node's parameters that the given launch arguments set.

    given: only the arguments that somebody gave; what is left out is left to the params file.

    Raises ParameterError for cameras that are not written `name=topic`, for a transport
    without cameras, and for what is neither true nor false.
    """
    parameters: dict[str, Any] = {name: given[name] for name in DESCRIPTIONS if name in given}
    for name in ('autostart', 'use_sim_time'):
        if name in given:
            parameters[name] = parse_bool(name, given[name])
    if 'cameras' in given:
        topics = parse_cameras(given['cameras'])
        parameters['cameras'] = list(topics)
        for camera, topic in topics.items():
            if topic:
                parameters[f'{camera}.topic'] = topic
            if 'transport' in given:
                parameters[f'{camera}.transport'] = given['transport']
    elif 'transport' in given:
        raise ParameterError('transport goes with cameras: give both, or say it in a params file')
    return parameters


def parse_cameras(text: str) -> dict[str, str]:
    """
    Return the topic of every camera named in text such as 'front=/front/image_raw rear'.

    A name alone has the topic ''. Raises ParameterError if there is no name, or one twice.
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
    """Return whether text says true; raises ParameterError if neither true nor false."""
    known = {'true': True, '1': True, 'false': False, '0': False}
    if text.lower() not in known:
        raise ParameterError(f'{name} is {text!r}; it must be true or false')
    return known[text.lower()]
