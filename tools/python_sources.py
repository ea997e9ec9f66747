"""Python packages read as syntax trees: what their modules offer, without importing any."""

import ast
import builtins
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
# What a name of a module or a member of a class is bound to; a string: what was imported.
Definition = ast.ClassDef | Function | ast.expr | str | None

# Bases that give a class no members that matter here, and those that give a few.
PLAIN_BASES = ('typing', 'typing_extensions', 'abc', 'types', 'collections.abc', 'builtins')
ENUM_MEMBERS = ('name', 'value')


@dataclass
class Module:
    """A module. name: dotted. names: what its global names are bound to."""

    name: str
    path: Path
    tree: ast.Module
    names: dict[str, Definition] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Bind the global names."""
        for node in top_level(self.tree):
            if isinstance(node, ast.ClassDef | Function):
                self.names[node.name] = node
            elif isinstance(node, ast.Import | ast.ImportFrom):
                self.names.update(self.imported(node))
            else:
                self.names.update(assigned(node))

    def imported(self, node: ast.Import | ast.ImportFrom) -> dict[str, str]:
        """Return the full name of what each name is bound to that an import binds."""
        if isinstance(node, ast.Import):
            return {
                alias.asname or alias.name.partition('.')[0]: alias.name
                if alias.asname
                else alias.name.partition('.')[0]
                for alias in node.names
            }
        origin = node.module or ''
        if node.level:
            package = self.name.split('.')
            up = node.level - (self.path.name == '__init__.py')
            origin = '.'.join([*package[: len(package) - up], *filter(None, [node.module])])
        return {alias.asname or alias.name: f'{origin}.{alias.name}' for alias in node.names}


@dataclass(frozen=True)
class Found:
    """Where a name is defined. name: the full one, there. definition: None: another package's."""

    name: str
    module: Module | None
    definition: Definition


@dataclass(frozen=True)
class Signature:
    """What may be passed. positional: the names, self left out. open: takes any keyword, too."""

    positional: tuple[str, ...] = ()
    keyword: frozenset[str] = frozenset()
    any_positional: bool = False
    any_keyword: bool = False


class Sources:
    """Packages, read where somebody asks for a name of theirs."""

    def __init__(self, packages: Mapping[str, Path]) -> None:
        """Take the folder, or single file, of each package by the name it is imported by."""
        self._packages = dict(packages)
        self._modules: dict[str, Module | None] = {}
        self._found: dict[str, Found | None] = {}
        self._members: dict[str, dict[str, Found]] = {}
        self._lineages: dict[str, list[Found]] = {}

    def module(self, name: str) -> Module | None:
        """Return a module, or None if these packages have none of that name."""
        if name not in self._modules:
            self._modules[name] = self._read(name)
        return self._modules[name]

    def modules(self) -> Iterator[Module]:
        """Give all modules, tests left out."""
        for package, folder in self._packages.items():
            for path in sorted(folder.rglob('*.py')) if folder.is_dir() else [folder]:
                parts = [part.removesuffix('.py') for part in path.relative_to(folder).parts]
                name = '.'.join([package, *(part for part in parts if part != '__init__')])
                module = self.module(name)
                if 'test' not in parts and module is not None:
                    yield module

    def find(self, name: str) -> Found | None:
        """
        Return where a dotted name is defined, behind aliases and re-exports.

        None: these packages do not offer it. A name of another package is taken for good.
        """
        if name not in self._found:
            self._found[name] = self._find(name, frozenset())
        return self._found[name]

    def members(self, found: Found) -> dict[str, Found]:
        """Return the members of a class: its own, those of its instances, and its bases'."""
        if found.name in self._members:
            return self._members[found.name]
        members: dict[str, Found] = {}
        for base in reversed(self.lineage(found)):
            if isinstance(base.definition, ast.ClassDef):
                for name, definition in own_members(base.definition).items():
                    members[name] = Found(f'{base.name}.{name}', base.module, definition)
            elif base.name.startswith('enum.'):
                members |= {
                    name: Found(f'{base.name}.{name}', None, None) for name in ENUM_MEMBERS
                }
        self._members[found.name] = members
        return members

    def lineage(self, found: Found) -> list[Found]:
        """Return a class and its bases, nearest first; those of other packages undefined."""
        if found.name in self._lineages:
            return self._lineages[found.name]
        lineage = [found]
        if isinstance(found.definition, ast.ClassDef) and found.module is not None:
            for base in found.definition.bases:
                above = self.find_expression(base, found.module)
                if above is not None and above.name != found.name:
                    lineage += [one for one in self.lineage(above) if one not in lineage]
        self._lineages[found.name] = lineage
        return lineage

    def is_open(self, found: Found) -> bool:
        """Return whether a class may have members that no source here shows, as compiled ones."""
        return any(
            not isinstance(base.definition, ast.ClassDef)
            and not base.name.startswith((*PLAIN_BASES, 'enum'))
            for base in self.lineage(found)
        )

    def find_expression(self, node: ast.expr, module: Module) -> Found | None:
        """Return what a name, a dotted one or a subscript of it stands for in a module."""
        if isinstance(node, ast.Subscript):
            node = node.value
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self.find_expression(ast.parse(node.value, mode='eval').body, module)
        name = dotted(node)
        if name is None:
            return None
        first, _, rest = name.partition('.')
        if first not in module.names and hasattr(builtins, first):
            return Found(f'builtins.{name}', None, None)
        return self.find('.'.join(filter(None, [module.name, first, rest])))

    def type_of(self, annotation: ast.expr | None, module: Module) -> Found | None:
        """Return the class that an annotation names, `| None` and the like left out."""
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            annotation = ast.parse(annotation.value, mode='eval').body
        for node in union(annotation):
            if isinstance(node, ast.Subscript) and (dotted(node.value) or '').endswith('Optional'):
                return self.type_of(node.slice, module)
            found = self.find_expression(node, module)
            if found is not None and found.name != 'builtins.None':
                return found
        return None

    def signature(self, found: Found) -> Signature | None:
        """Return what a function takes, or a class's constructor; None: no source here shows."""
        if isinstance(found.definition, Function):
            is_member = found.name.rpartition('.')[0] != getattr(found.module, 'name', '')
            return signature(found.definition, is_member and not is_static(found.definition))
        if not isinstance(found.definition, ast.ClassDef):
            return None
        members = self.members(found)
        taken = None
        for base in self.lineage(found):
            if not isinstance(base.definition, ast.ClassDef):
                continue
            own = own_members(base.definition)
            made = own.get('__init__') or own.get('__new__')
            if isinstance(made, Function):
                next_one = signature(made, bound=True)
                taken = next_one if taken is None else joined(taken, next_one)
                if not next_one.any_keyword:
                    return taken
        fields = tuple(
            name for name, one in members.items() if isinstance(one.definition, ast.expr)
        )
        return taken or (None if self.is_open(found) else Signature(fields))

    def _read(self, name: str) -> Module | None:
        package, *parts = name.split('.')
        if package not in self._packages:
            return None
        place = self._packages[package].joinpath(*parts)
        for path in (place / '__init__.py', place.with_suffix('.py'), place):
            if path.is_file():
                return Module(name, path, ast.parse(path.read_text(), str(path)))
        return None

    def _find(self, name: str, seen: frozenset[str]) -> Found | None:
        parts = name.split('.')
        if parts[0] not in self._packages:
            return Found(name, None, None)
        if name in seen:
            return None
        for cut in range(len(parts), 0, -1):
            module = self.module('.'.join(parts[:cut]))
            if module is not None:
                break
        else:
            return None
        if cut == len(parts):
            return Found(name, module, name)
        first, *rest = parts[cut:]
        if first not in module.names:
            return None
        return self._below(
            f'{module.name}.{first}', module, module.names[first], rest, seen | {name}
        )

    def _below(
        self,
        name: str,
        module: Module,
        definition: Definition,
        rest: list[str],
        seen: frozenset[str],
    ) -> Found | None:
        if isinstance(definition, str):
            return self._find('.'.join([definition, *rest]), seen)
        if isinstance(definition, ast.ClassDef):
            found = Found(name, module, definition)
            if not rest:
                return found
            member = self.members(found).get(rest[0])
            if member is None:
                return Found('.'.join([name, *rest]), None, None) if self.is_open(found) else None
            return member if len(rest) == 1 else None
        alias = dotted(definition) if isinstance(definition, ast.expr) else None
        if alias is not None:
            first, _, more = alias.partition('.')
            target = module.names.get(first)
            if isinstance(target, str):
                return self._find('.'.join(filter(None, [target, more, *rest])), seen)
            return self._find('.'.join(filter(None, [module.name, alias, *rest])), seen)
        if isinstance(definition, ast.expr) and rest:
            # What a call returned, such as a compiled module.
            return Found('.'.join([name, *rest]), None, None)
        return Found(name, module, definition) if not rest else None


def top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """Give the statements of a module, those within `if` and `try` as well."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        for block in ('body', 'orelse', 'finalbody'):
            if isinstance(node, ast.If | ast.Try | ast.With):
                waiting[:0] = getattr(node, block, [])
        for handler in getattr(node, 'handlers', []):
            waiting[:0] = handler.body


def assigned(node: ast.stmt) -> dict[str, ast.expr]:
    """Return the names that an assignment binds, with their values or annotations."""
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return {node.target.id: node.value or node.annotation}
    if isinstance(node, ast.Assign):
        return {
            name.id: node.value
            for target in node.targets
            for name in ast.walk(target)
            if isinstance(name, ast.Name)
        }
    return {}


def own_members(node: ast.ClassDef) -> dict[str, Definition]:
    """Return what a class defines itself: functions, attributes, and those of its instances."""
    members: dict[str, Definition] = {}
    for one in node.body:
        if isinstance(one, Function) and one.args.args[:1]:
            owner = one.args.args[0].arg
            for inner in ast.walk(one):
                if (
                    isinstance(inner, ast.Attribute)
                    and isinstance(inner.ctx, ast.Store)
                    and isinstance(inner.value, ast.Name)
                    and inner.value.id == owner
                ):
                    members.setdefault(inner.attr, None)
    for one in node.body:
        if isinstance(one, ast.ClassDef | Function):
            if not any(isinstance(by, ast.Attribute) for by in one.decorator_list):  # a setter
                members[one.name] = one
        else:
            members.update(assigned(one))
    return members


def signature(node: Function, bound: bool) -> Signature:
    """Return what a function takes; bound: its first argument is given by itself."""
    arguments = node.args
    positional = [one.arg for one in (*arguments.posonlyargs, *arguments.args)][bound:]
    only_positional = {one.arg for one in arguments.posonlyargs}
    return Signature(
        tuple(positional),
        frozenset({*positional, *(one.arg for one in arguments.kwonlyargs)} - only_positional),
        arguments.vararg is not None,
        arguments.kwarg is not None,
    )


def joined(nearer: Signature, farther: Signature) -> Signature:
    """Return what a constructor takes that hands other keywords on to its base's."""
    return Signature(
        nearer.positional,
        nearer.keyword | farther.keyword,
        nearer.any_positional,
        farther.any_keyword,
    )


def is_static(node: Function) -> bool:
    """Return whether a function of a class is a static method."""
    return any(dotted(one) == 'staticmethod' for one in node.decorator_list)


def union(annotation: ast.expr | None) -> Iterator[ast.expr]:
    """Give the members of a union that is written with |, None left out."""
    if isinstance(annotation, ast.BinOp):
        yield from union(annotation.left)
        yield from union(annotation.right)
    elif isinstance(annotation, ast.Constant) and annotation.value is None:
        return
    elif annotation is not None:
        yield annotation


def dotted(node: ast.expr | None) -> str | None:
    """Return a name, or names with dots between, as text; None for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)) is not None:
        return f'{before}.{node.attr}'
    return None
