"""What expressions are worth: classes of objects, from annotations and what was assigned."""

import ast
from collections.abc import Callable
from dataclasses import dataclass, replace

from python_sources import Found, Function, Module, Sources, dotted


@dataclass(frozen=True)
class Value:
    """
    What an expression is worth.

    name: of a module, a class or a function; or of its class, for an object.
    element: what comes from iterating it. unbound: a method that lacks its object.
    """

    name: str
    is_object: bool = False
    element: 'Value | None' = None
    unbound: bool = False


# Neither theirs nor of an unknown class.
OTHER = Value('object', is_object=True)


class Values:
    """What members, calls and annotations in some sources are worth; None: nobody knows."""

    def __init__(
        self, sources: Sources, packages: tuple[str, ...], returns: Callable[[str], str | None]
    ) -> None:
        """Take those packages for theirs; returns: the class of what a function of theirs does."""
        self._sources, self._packages, self._returns = sources, packages, returns
        self._attributes: dict[str, Value] = {}

    def are_theirs(self, name: str) -> bool:
        """Return whether a name is of one of the packages."""
        return name.split('.')[0] in self._packages

    def returned(self, name: str) -> Value | None:
        """Return what a function of theirs returns, or a property of theirs is."""
        made = self._returns(name)
        return Value(made, is_object=True) if made else None

    def assign(self, owner: Value | None, name: str, value: Value | None) -> None:
        """Remember what an attribute of an object was set to."""
        if owner is not None and owner.is_object and value is not None:
            self._attributes[f'{owner.name}.{name}'] = value

    def named(self, name: str, module: Module) -> Value | None:
        """Return what a global name of a module is worth."""
        definition = module.names.get(name, name)
        if isinstance(definition, str):
            return Value(definition)
        if isinstance(definition, ast.ClassDef | Function):
            return Value(f'{module.name}.{name}')
        return None

    def called(self, name: str) -> Value | None:
        """Return what a class or a function of the sources gives when it is called."""
        found = self._sources.find(name)
        if found is None or found.module is None:
            return None
        if isinstance(found.definition, ast.ClassDef):
            return Value(found.name, is_object=True)
        if isinstance(found.definition, Function):
            return self.annotated(found.definition.returns, found.module)
        return None

    def member(self, owner: Value, name: str) -> Value | None:
        """Return a member of a module, a class or an object that is none of theirs."""
        found = self._sources.find(owner.name)
        if not owner.is_object:
            below = self._sources.find(f'{owner.name}.{name}')
            return Value(below.name if below is not None else f'{owner.name}.{name}')
        if found is None or found.module is None:
            return None
        for base in self._sources.lineage(found):
            if (held := self._attributes.get(f'{base.name}.{name}')) is not None:
                return held
        return self._defined(found, name)

    def inherits(self, owner: Value, name: str) -> str | None:
        """Return the class of theirs from which an object has a member, if from one."""
        found = self._sources.find(owner.name)
        if not owner.is_object or found is None or self._sources.members(found).get(name):
            return None
        return next(
            filter(self.are_theirs, (one.name for one in self._sources.lineage(found))), None
        )

    def base(self, owner: str) -> Value | None:
        """Return an object of the class that a class is nearest derived from."""
        found = self._sources.find(owner)
        lineage = self._sources.lineage(found)[1:] if found is not None else []
        return Value(lineage[0].name, is_object=True) if lineage else None

    def annotated(self, node: ast.expr | None, module: Module) -> Value | None:
        """Return an object of what an annotation says."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode='eval').body
        found = self._sources.type_of(node, module)
        if found is None or found.name in ('typing.Any', 'builtins.object'):
            return None
        if isinstance(found.definition, ast.expr):  # a TypeVar, for one
            return None
        if isinstance(node, ast.BinOp):
            node = node.left
        if not isinstance(node, ast.Subscript):
            return Value(found.name, is_object=True)
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if found.name in ('typing.Optional', 'typing.Annotated', 'typing.ClassVar'):
            return self.annotated(inner[0], module)
        if found.name == 'typing.Union':
            return next(filter(None, (self.annotated(one, module) for one in inner)), None)
        if found.name in ('builtins.type', 'typing.Type'):
            its = self.annotated(inner[0], module)
            return replace(its, is_object=False) if its is not None else None
        given = inner[0] if found.name.endswith(('Generator', 'tuple')) else inner[-1]
        its = None if isinstance(given, ast.List) else self.annotated(given, module)
        return Value(found.name, is_object=True, element=its)

    def _defined(self, owner: Found, name: str) -> Value | None:
        """Return what a class body says of a member of its objects."""
        member = self._sources.members(owner).get(name)
        if member is None or member.module is None:
            return None
        if isinstance(member.definition, Function):
            if any('property' in (dotted(one) or '') for one in member.definition.decorator_list):
                return self.annotated(member.definition.returns, member.module)
            return Value(member.name)
        for base in self._sources.lineage(owner):
            if isinstance(base.definition, ast.ClassDef) and base.module is not None:
                for one in base.definition.body:
                    if isinstance(one, ast.AnnAssign) and dotted(one.target) == name:
                        return self.annotated(one.annotation, base.module)
        return None


def element(value: Value | None) -> Value | None:
    """Return what comes from iterating it."""
    return value.element if value is not None else None


def is_class(name: str) -> bool:
    """Return whether a name is a class's, as PEP 8 writes it."""
    return name.rpartition('.')[2][:1].isupper()


def is_member(name: str) -> bool:
    """Return whether a name stands below a class."""
    return is_class(name.rpartition('.')[0])
