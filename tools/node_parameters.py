"""
Write what ros2_llava_phi/node/parameters.py says wherever else it is said.

That is config/vqa.yaml, the table in docs/node.md, and the descriptions of the launch file's
arguments. With --check: exit code 1 and a line for each that is not up to date, and write nothing.
"""

import argparse
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from ros2_llava_phi.node.launch_arguments import DESCRIPTIONS
from ros2_llava_phi.node.parameters import CameraParameters, Parameters, is_live

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 99
PARAMS_FILE = """\
# Parameters of the node, with their defaults. `/**` makes them apply under any namespace and name.
# Written by `make format`; edit ros2_llava_phi/node/parameters.py.
/**:
  ros__parameters:
{parameters}

    # Each of the cameras may have parameters of its own, here the defaults:
    # front:
{camera_parameters}

    # A camera's quality of service, here its default, goes by the topic's full name:
    # qos_overrides:
    #   /front/image_raw:
    #     subscription:
    #       reliability: best_effort
    #       history: keep_last
    #       depth: 1
"""


def params_file(before: str) -> str:
    """Return the params file with every parameter."""
    own = [
        f'{_comment(_description(field), "    # ")}\n    {name}: {_yaml(field.default)}'
        for name, field in Parameters.model_fields.items()
    ]
    of_a_camera = [
        f'{_comment(_description(field), "    #   # ")}\n    #   {name}: {_yaml(field.default)}'
        for name, field in CameraParameters.model_fields.items()
    ]
    return PARAMS_FILE.format(parameters='\n'.join(own), camera_parameters='\n'.join(of_a_camera))


def documentation(before: str) -> str:
    """Return the text of a page with the rows of its table of parameters written anew."""
    rows = []
    for name, field in Parameters.model_fields.items():
        rows.append(_row(name, field))
        if name == 'cameras':
            rows += [_row(f'NAME.{own}', f) for own, f in CameraParameters.model_fields.items()]
    head = '| Parameter | Default | Can change | What |\n| --- | --- | --- | --- |\n'
    start, _, rest = before.partition(head)
    end = rest[rest.index('\n\n') :]
    return start + head + '\n'.join(rows) + end


def launch_arguments(before: str) -> str:
    """Return the module with what it says about its arguments written anew."""
    head = 'DESCRIPTIONS = {\n'
    start, _, rest = before.partition(head)
    entries = []
    for name in DESCRIPTIONS:
        text = _description(Parameters.model_fields[name])
        entry = f'    {name!r}: {text!r},'
        if len(entry) > WIDTH:
            *pieces, last = textwrap.wrap(text, WIDTH - 11)  # indented, quoted, a space at the end
            lines = ''.join(f'        {piece + " "!r}\n' for piece in pieces)
            entry = f'    {name!r}: (\n{lines}        {last!r}\n    ),'
        entries.append(f'{entry}\n')
    return start + head + ''.join(entries) + rest[rest.index('}\n') :]


# What writes each file, from the text that it holds.
WRITERS = {
    'config/vqa.yaml': params_file,
    'docs/node.md': documentation,
    'ros2_llava_phi/node/launch_arguments.py': launch_arguments,
}


def stale(root: Path = ROOT) -> dict[str, str]:
    """Return the files that are not up to date, each with the text that it should hold."""
    found = {}
    for name, write in WRITERS.items():
        before = (root / name).read_text(encoding='utf-8')
        if (after := write(before)) != before:
            found[name] = after
    return found


def _description(field: FieldInfo) -> str:
    return field.description or ''


def _comment(text: str, indent: str) -> str:
    return textwrap.fill(
        f'{text}.', WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def _yaml(value: Any) -> str:
    """Return a default as YAML; what JSON quotes needs it only where it is empty."""
    if isinstance(value, list):
        return f'[{", ".join(map(_yaml, value))}]'
    return (value or "''") if isinstance(value, str) else json.dumps(value)


def _row(name: str, field: FieldInfo) -> str:
    change = 'any time' if is_live(name) else 'unconfigured'
    return f'| `{name}` | `{_yaml(field.default)}` | {change} | {_description(field)} |'


def main() -> int:
    """Write the files, or say which are stale."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').strip().splitlines()[0])
    parser.add_argument('--check', action='store_true', help='write nothing')
    check: bool = parser.parse_args().check
    found = stale()
    for name, text in found.items():
        if check:
            print(f'{name} does not say what parameters.py says; run `make format`')
        else:
            (ROOT / name).write_text(text, encoding='utf-8')
    return int(check and bool(found))


if __name__ == '__main__':
    sys.exit(main())
