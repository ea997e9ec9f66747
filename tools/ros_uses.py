"""
What a Python package uses of others: names, members of their objects, and arguments.

Types follow from annotations, from what classes are made of, and from what `returns` knows of the
others' functions; nothing is imported and nothing run. See tools/ros_api.py for what that misses.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from python_sources import Function, Module, Sources, dotted
from python_values import OTHER, Value, Values, element, is_class, is_member

# What says that a name may be missing.
GUARDS = {'ImportError', 'ModuleNotFoundError', 'AttributeError', 'TypeError'}
# Functions and methods whose value is one, or are the ones, of what they are given.
SAME_ELEMENTS = {'list', 'tuple', 'set', 'frozenset', 'sorted', 'reversed', 'iter'}
ONE_ELEMENT = {'next', 'max', 'min', 'get', 'pop', 'popleft', 'setdefault', 'enter_context'}
IMPORTERS = {'pytest.importorskip', 'importlib.import_module', '__import__'}


@dataclass(frozen=True)
class Use:
    """
    A use of another package's name.

    name: dotted; with `(keyword)` or `(number)` behind it for an argument, or the number of those
    without a keyword; `*.member` where nobody knows whose member it is.
    guarded: under `try` or `hasattr`, whoever lacks the name is prepared for.
    """

    path: Path
    line: int
    name: str
    guarded: bool


Scope = dict[str, Value | None]


def uses(
    sources: Sources, packages: Iterable[str], returns: Callable[[str], str | None]
) -> list[Use]:
    """
    Return what `sources` use of `packages`.

    returns: gives the class of what a function of theirs returns, or of what a member is.
    """
    reader = _Reader(Values(sources, tuple(packages), returns))
    modules = list(sources.modules())
    # What instances are made of must be known before their members are met.
    for found in (False, False, True):
        reader.found = [] if found else None
        for module in modules:
            reader.read(module)
    return sorted(set(reader.found or []), key=lambda use: (str(use.path), use.line, use.name))


class _Reader:
    """Walks through modules, and notes what they use."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self.found: list[Use] | None = None
        self._module: Module
        self._class: str | None = None
        self._guards = 0

    def read(self, module: Module) -> None:
        """Walk through a module."""
        self._module = module
        self._block(module.tree.body, {}, owner=None)

    # -- statements ------------------------------------------------------------------------------

    def _block(self, body: Iterable[ast.stmt], scope: Scope, owner: str | None) -> None:
        for node in body:
            self._statement(node, scope, owner)

    def _statement(self, node: ast.stmt, scope: Scope, owner: str | None) -> None:
        match node:
            case ast.Import() | ast.ImportFrom():
                self._import(node, scope)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._function(node, scope, owner)
            case ast.ClassDef():
                for expression in (*node.bases, *node.decorator_list):
                    self._value(expression, scope)
                self._block(node.body, dict(scope), f'{owner or self._module.name}.{node.name}')
            case ast.Assign():
                for target in node.targets:
                    self._assign(target, node.value, scope)
                self._value(node.value, scope)
            case ast.AnnAssign():
                for expression in filter(None, (node.value, node.annotation)):
                    self._value(expression, scope)
                self._bind(
                    node.target, self._values.annotated(node.annotation, self._module), scope
                )
            case ast.For() | ast.AsyncFor():
                self._bind(node.target, element(self._value(node.iter, scope)), scope)
                self._block([*node.body, *node.orelse], scope, owner)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    value = self._value(item.context_expr, scope)
                    entered = value.element if value is not None and value.element else value
                    if item.optional_vars is not None:
                        self._bind(item.optional_vars, entered, scope)
                self._block(node.body, scope, owner)
            case ast.Try():
                caught = {name for one in node.handlers for name in _names(one.type)}
                with self._guarded(bool(caught & GUARDS)):
                    self._block(node.body, scope, owner)
                    for handler in node.handlers:
                        if handler.type is not None:
                            self._value(handler.type, scope)
                        if handler.name:
                            scope[handler.name] = self._caught(handler.type, scope)
                        self._block(handler.body, scope, owner)
                self._block([*node.orelse, *node.finalbody], scope, owner)
            case ast.If() | ast.While():
                self._value(node.test, scope)
                with self._guarded('hasattr' in _called(node.test)):
                    self._block([*node.body, *node.orelse], scope, owner)
            case ast.Match():
                self._value(node.subject, scope)
                for one in node.cases:
                    for inner in ast.walk(one.pattern):
                        if isinstance(inner, ast.expr):
                            self._value(inner, scope)
                        elif isinstance(inner, ast.MatchClass):
                            self._attributes_of(inner, scope)
                    self._block(one.body, scope, owner)
            case _:
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.expr):
                        self._value(child, scope)

    def _import(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._use(node, alias.name)
        for name, origin in self._module.imported(node).items():
            self._use(node, origin)
            scope[name] = Value(origin)

    def _function(self, node: Function, scope: Scope, owner: str | None) -> None:
        inner = dict(scope)
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        for one in every:
            inner[one.arg] = self._values.annotated(one.annotation, self._module)
        for rest, kind in ((arguments.vararg, 'tuple'), (arguments.kwarg, 'dict')):
            if rest is not None:
                its = self._values.annotated(rest.annotation, self._module)
                inner[rest.arg] = Value(kind, is_object=True, element=its)
        static = any(dotted(one) == 'staticmethod' for one in node.decorator_list)
        if owner is not None and every and not static:
            is_class = any(dotted(one) == 'classmethod' for one in node.decorator_list)
            inner[every[0].arg] = Value(owner, is_object=not is_class)
        annotations = [one.annotation for one in every if one.annotation]
        defaults = [one for one in (*arguments.defaults, *arguments.kw_defaults) if one]
        for expression in (*node.decorator_list, *defaults, *annotations, node.returns):
            if expression is not None:
                self._value(expression, scope)
        scope[node.name] = Value(f'{owner or self._module.name}.{node.name}')
        self._class, before = owner or self._class, self._class
        self._block(node.body, inner, None)
        self._class = before

    def _assign(self, target: ast.expr, value: ast.expr, scope: Scope) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one, its in zip(target.elts, value.elts, strict=False):
                self._assign(one, its, scope)
        else:
            with self._silence():
                worth = self._value(value, scope)
            self._bind(target, worth, scope)

    def _bind(self, target: ast.expr, value: Value | None, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            scope[target.id] = value
        elif isinstance(target, ast.Attribute):
            owner = self._value(target.value, scope)
            self._values.assign(owner, target.attr, value)
            self._member(target, owner)
        elif isinstance(target, ast.Tuple | ast.List):
            for one in target.elts:
                self._bind(one, element(value), scope)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, value, scope)
        else:
            self._value(target, scope)

    # -- expressions -----------------------------------------------------------------------------

    def _value(self, node: ast.expr, scope: Scope) -> Value | None:
        """Return what an expression is worth, and note what it uses; None: nobody knows."""
        match node:
            case ast.Name():
                return (
                    scope[node.id]
                    if node.id in scope
                    else self._values.named(node.id, self._module)
                )
            case ast.Attribute():
                return self._member(node, self._value(node.value, scope))
            case ast.Call():
                return self._call(node, scope)
            case ast.Subscript():
                self._value(node.slice, scope)
                value = self._value(node.value, scope)
                return value if value is not None and not value.is_object else element(value)
            case ast.Await() | ast.Starred():
                return self._value(node.value, scope)
            case ast.NamedExpr():
                value = self._value(node.value, scope)
                self._bind(node.target, value, scope)
                return value
            case ast.IfExp():
                with self._guarded('hasattr' in _called(node.test)):
                    self._value(node.test, scope)
                    one, other = (self._value(each, scope) for each in (node.body, node.orelse))
                return one or other
            case ast.BoolOp():
                values = [self._value(one, scope) for one in node.values]
                return next((value for value in values if value is not None), None)
            case ast.List() | ast.Tuple() | ast.Set():
                values = [self._value(one, scope) for one in node.elts]
                return Value('list', is_object=True, element=values[0] if values else None)
            case ast.Dict():
                values = [self._value(one, scope) for one in node.values]
                for key in filter(None, node.keys):
                    self._value(key, scope)
                return Value('dict', is_object=True, element=values[0] if values else None)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                return self._comprehension(node, scope)
            case ast.Lambda():
                for default in (*node.args.defaults, *node.args.kw_defaults):
                    if default is not None:
                        self._value(default, scope)
                taken = [one for one in ast.walk(node.args) if isinstance(one, ast.arg)]
                self._value(node.body, {**scope, **{one.arg: None for one in taken}})
                return OTHER
            case _:
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.expr):
                        self._value(child, scope)
                return OTHER if isinstance(node, ast.Constant | ast.JoinedStr) else None

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, scope: Scope
    ) -> Value:
        inner = dict(scope)
        for one in node.generators:
            self._bind(one.target, element(self._value(one.iter, inner)), inner)
            for condition in one.ifs:
                self._value(condition, inner)
        if isinstance(node, ast.DictComp):
            self._value(node.key, inner)
            return Value('dict', is_object=True, element=self._value(node.value, inner))
        return Value('list', is_object=True, element=self._value(node.elt, inner))

    def _call(self, node: ast.Call, scope: Scope) -> Value | None:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else dotted(node.func)
        arguments = [self._value(one, scope) for one in node.args]
        for keyword in node.keywords:
            self._value(keyword.value, scope)
        texts = [one.value for one in node.args if isinstance(one, ast.Constant)]
        if called == 'super' and not node.args and self._class is not None:
            return self._values.base(self._class)
        if called == 'getattr' and len(node.args) == 2 and isinstance(node.args[1], ast.Constant):
            reached = ast.Attribute(node.args[0], str(node.args[1].value), ast.Load())
            return self._member(ast.copy_location(reached, node), arguments[0])
        function = self._value(node.func, scope)
        if function is not None and function.name in IMPORTERS and texts:
            self._use(node, str(texts[0]))
            return Value(str(texts[0]))
        if called in SAME_ELEMENTS and arguments and not isinstance(node.func, ast.Attribute):
            return arguments[0]
        if called in ONE_ELEMENT and not isinstance(node.func, ast.Attribute):
            return element(arguments[0]) if arguments else None
        if isinstance(node.func, ast.Attribute) and called in ('values', *ONE_ELEMENT):
            with self._silence():
                receiver = self._value(node.func.value, scope)
            if called == 'enter_context' and arguments:
                entered = arguments[0]
                return entered.element if entered is not None and entered.element else entered
            if receiver is not None and receiver.element is not None:
                return receiver if called == 'values' else receiver.element
        if function is None or function.is_object:
            return None
        if self._values.are_theirs(function.name):
            return self._their_call(node, function)
        return self._values.called(function.name)

    def _their_call(self, node: ast.Call, function: Value) -> Value | None:
        for keyword in node.keywords:
            if keyword.arg is not None:
                self._use(node, f'{function.name}({keyword.arg})')
        starred = any(isinstance(one, ast.Starred) for one in node.args)
        if node.args and not starred and not function.unbound:
            self._use(node, f'{function.name}({len(node.args)})')
        if is_class(function.name):
            return Value(function.name, is_object=True)
        return self._values.returned(function.name)

    def _member(self, node: ast.Attribute, owner: Value | None) -> Value | None:
        """Return a member of what was reached, and note it if it is theirs."""
        if owner is None:
            self._use(node, f'*.{node.attr}')
            return None
        if not self._values.are_theirs(owner.name):
            theirs = self._values.inherits(owner, node.attr)
            if theirs is None:
                return self._values.member(owner, node.attr)
            owner = Value(theirs, is_object=True)
        elif not owner.is_object and is_member(owner.name):
            # A member of a property.
            return self._member(node, self._values.returned(owner.name))
        self._use(node, f'{owner.name}.{node.attr}')
        return Value(
            f'{owner.name}.{node.attr}', unbound=not owner.is_object and is_class(owner.name)
        )

    def _attributes_of(self, pattern: ast.MatchClass, scope: Scope) -> None:
        with self._silence():
            matched = self._value(pattern.cls, scope)
        for name in pattern.kwd_attrs:
            reached = ast.Attribute(pattern.cls, name, ast.Load())
            owner = replace(matched, is_object=True) if matched is not None else None
            self._member(ast.copy_location(reached, pattern), owner)

    def _caught(self, node: ast.expr | None, scope: Scope) -> Value | None:
        with self._silence():
            value = self._value(node, scope) if node is not None else None
        return replace(value, is_object=True) if value is not None else None

    # -- notes -----------------------------------------------------------------------------------

    def _use(self, node: ast.AST, name: str) -> None:
        if self.found is not None and (self._values.are_theirs(name) or name.startswith('*.')):
            line = getattr(node, 'lineno', 0)
            self.found.append(Use(self._module.path, line, name, self._guards > 0))

    @contextmanager
    def _guarded(self, guarded: bool) -> Iterator[None]:
        self._guards += guarded
        yield
        self._guards -= guarded

    @contextmanager
    def _silence(self) -> Iterator[None]:
        found, self.found = self.found, None
        yield
        self.found = found


def _names(node: ast.expr | None) -> list[str]:
    """Return the names in an `except`."""
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return [name for part in parts if (name := dotted(part)) is not None]


def _called(node: ast.expr) -> set[str | None]:
    """Return the names of the functions that an expression calls."""
    return {dotted(one.func) for one in ast.walk(node) if isinstance(one, ast.Call)}
