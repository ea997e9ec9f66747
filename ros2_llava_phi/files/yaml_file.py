"""YAML files as people write them: whatever is wrong with one is one sentence."""

import warnings
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLWarning
from ruamel.yaml.nodes import Node, ScalarNode
from ruamel.yaml.resolver import VersionedResolver

from ros2_llava_phi.errors import FileError


def read_yaml(path: Path, as_written: bool = False) -> Any:
    """
    Return what a YAML file in UTF-8 holds: plain values, lists and dicts, nothing that runs code.

    It is YAML 1.1, as PyYAML and so ROS 2 read it, unless the file says `%YAML 1.2`: there, `yes`
    and `off` are texts. A name that stands twice in one mapping is refused. Raises FileError,
    which names the line.

    as_written: return all values but null as the text that stands there: `on`, `007`, `1.10`.
    """
    reader = YAML(typ='safe', pure=True)
    reader.Constructor = _TextConstructor if as_written else _Constructor
    reader.Resolver = _Resolver
    try:
        with warnings.catch_warnings():
            # Of what PyYAML says nothing about: a number such as 1e-3, or an anchor used again.
            warnings.simplefilter('ignore', YAMLWarning)
            return reader.load(path.read_text(encoding='utf-8-sig'))
    except UnicodeDecodeError as error:
        raise FileError(f'{path}: byte {error.start} is no UTF-8') from error
    except OSError as error:
        raise FileError(f'{path} cannot be read: {error.strerror}') from error
    except FileError as error:
        raise FileError(f'{path}, {error}') from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f', line {mark.line + 1}' if mark else ''
        problem = str(error.problem or error.context)
        if problem.endswith("got '?'"):
            problem += '; within braces, quotes belong around a text with a question mark'
        if problem == 'mapping values are not allowed here':
            problem = 'quotes belong around a text with a colon and a space in it'
        raise FileError(f'{path}{line}: no YAML: {problem}') from error
    except (AssertionError, LookupError) as error:
        raise FileError(f'{path}: no YAML of version 1.1 or 1.2') from error
    except (YAMLError, ValueError, RecursionError, ArithmeticError, TypeError) as error:
        # A character that may not stand there, a path that is none, or nesting without end.
        reason = str(error).replace('in "<unicode string>", ', 'at ')
        raise FileError(f'{path}: no YAML: {" ".join(reason.split())}') from error


class _Resolver(VersionedResolver):
    # YAML.version would hold only up to the first `---`.
    def __init__(self, version: Any = None, loader: Any = None, loadumper: Any = None) -> None:
        super().__init__(version or (1, 1), loader, loadumper)


class _Constructor(SafeConstructor):
    def check_mapping_key(
        self, node: Node, key_node: Node, mapping: Any, key: Any, value: Any
    ) -> bool:
        if key in mapping:
            # Which need not be spelled alike: true and 1 are one key of Python's.
            name, line = str(key_node.value)[:60], key_node.start_mark.line + 1
            raise FileError(f'line {line}: {name!r} stands twice')
        return True

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            if not isinstance(node, ScalarNode):
                raise
            # Of a tag that does not fit, such as `!!bool maybe`.
            kind, line = str(node.tag).rsplit(':', 1)[-1], node.start_mark.line + 1
            raise FileError(f'line {line}: {node.value[:60]!r} is no {kind}') from error


class _TextConstructor(_Constructor):
    def construct_object(self, node: Node, deep: bool = False) -> Any:
        value = super().construct_object(node, deep)
        return node.value if isinstance(node, ScalarNode) and value is not None else value


def _truth(constructor: SafeConstructor, node: ScalarNode) -> bool | str:
    # By the letter of YAML 1.1 y and n are truths, too; to PyYAML and people they are texts.
    return (
        node.value if node.value in ('y', 'Y', 'n', 'N') else constructor.construct_yaml_bool(node)
    )


_Constructor.add_constructor('tag:yaml.org,2002:bool', _truth)
