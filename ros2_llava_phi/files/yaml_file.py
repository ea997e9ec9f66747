"""YAML files as people write them: whatever is wrong is one sentence, a name given twice, too."""

from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from ros2_llava_phi.errors import FileError


def read_yaml(path: Path) -> Any:
    """
    Return what a YAML file in UTF-8 holds: plain values, lists and dicts, nothing that runs code.

    A name that stands twice in one mapping is refused, where YAML's readers would take the last.
    Raises FileError.
    """
    try:
        # A SafeLoader: nothing in a file chooses what is built.
        return yaml.load(path.read_text(encoding='utf-8-sig'), _Loader)
    except FileError as error:
        raise FileError(f'{path}, {error}') from error
    except UnicodeDecodeError as error:
        raise FileError(f'{path}: byte {error.start} is no UTF-8') from error
    except OSError as error:
        raise FileError(f'{path} cannot be read: {error.strerror}') from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f', line {mark.line + 1}' if mark else ''
        raise FileError(f'{path}{line}: no YAML: {error.problem or error.context}') from error
    except Exception as error:
        # A character that may not stand there, or nesting without end.
        reason = str(error).replace('in "<unicode string>", ', 'at ')
        raise FileError(f'{path}: no YAML: {" ".join(reason.split())}') from error


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: dict[Any, Node]) -> MappingNode:
        # Before anything is merged (`<<`): what a mapping sets over another's is no repetition.
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, ScalarNode):
                continue
            if (key.tag, key.value) in seen:
                line = key.start_mark.line + 1
                raise FileError(f'line {line}: {key.value[:60]!r} stands twice')
            seen.add((key.tag, key.value))
        return node

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            if not isinstance(node, ScalarNode):
                raise
            # Of a tag that does not fit, such as `!!bool maybe`.
            kind, line = node.tag.rsplit(':', 1)[-1], node.start_mark.line + 1
            raise FileError(f'line {line}: {node.value[:60]!r} is no {kind}') from error
