"""What a ``_target_`` of the config takes, read from its source: nothing is imported.

Importing torch and Lightning takes seconds; parsing the few files that define the classes of a
config takes a fraction of one. What cannot be found so (a module without source, a name made at
run time) has no signature, and nothing is said about it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from sapiens_lab.commands.overrides.annotations import read_annotation
from sapiens_lab.commands.overrides.expected import Anything, Expected
from sapiens_lab.commands.overrides.sources import Definition, follow, resolve

_TORCH_MODULE = "torch.nn.modules.module"  # its constructor is (*args, **kwargs), and takes none
_BARE_BASES = ("ABC", "object", "Protocol", "Generic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument of a constructor or function."""

    expected: Expected
    is_required: bool
    is_positional: bool  # may be given by place, as callers of partial objects do


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a constructor or a function takes."""

    name: str  # of the class or function
    arguments: Mapping[str, Argument]
    takes_any: bool  # it has ``**kwargs``
    has_constructor: bool = True  # a class without one leaves it to its other bases


@cache
def signature(target: str) -> Signature | None:
    """Return the signature of a dotted path; ``None`` if the source does not tell."""
    definition = resolve(target)
    if definition is None:
        return None
    name = target.rpartition(".")[2]
    node = definition.node
    if isinstance(node, ast.FunctionDef):
        is_method = definition.owner is not None and not _has(node, "staticmethod")
        return _of_function(name, node, definition, skip=int(is_method))
    if isinstance(node, ast.ClassDef):
        return _of_class(name, definition)
    return None


def _of_class(name: str, definition: Definition) -> Signature | None:
    """Look for the constructor: of the class, or of the first base that has one."""
    node = definition.node
    assert isinstance(node, ast.ClassDef)
    if definition.module.name == _TORCH_MODULE and node.name == "Module":
        return Signature(name=name, arguments={}, takes_any=False)
    if any(_word(d) == "dataclass" for d in node.decorator_list):
        return Signature(name=name, arguments=dict(_fields(definition)), takes_any=False)
    init = next((n for n in _functions(node) if n.name == "__init__"), None)
    if init is not None:
        return _of_function(name, init, definition, skip=1)
    for base in node.bases:
        above = follow(base, definition.module)
        if _word(base).startswith(_BARE_BASES):
            continue
        if above is None or not isinstance(above.node, ast.ClassDef):
            return None
        if (found := _of_class(name, above)) is None or found.has_constructor:
            return found
    return Signature(name=name, arguments={}, takes_any=False, has_constructor=False)


def _of_function(
    name: str, node: ast.FunctionDef, definition: Definition, *, skip: int
) -> Signature:
    args = node.args
    positional = [*args.posonlyargs, *args.args]
    first_default = len(positional) - len(args.defaults)
    arguments = {
        arg.arg: _argument(arg.annotation, definition, index < first_default, is_positional=True)
        for index, arg in enumerate(positional)
        if index >= skip
    }
    for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        arguments[arg.arg] = _argument(arg.annotation, definition, default is None)
    return Signature(name=name, arguments=arguments, takes_any=args.kwarg is not None)


def _fields(definition: Definition) -> Iterator[tuple[str, Argument]]:
    """Go through the fields of a dataclass, those of its bases first."""
    node = definition.node
    assert isinstance(node, ast.ClassDef)
    for base in node.bases:
        above = follow(base, definition.module)
        if above is not None and isinstance(above.node, ast.ClassDef):
            yield from _fields(above)
    for statement in node.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if "ClassVar" in ast.unparse(statement.annotation) or _is_no_argument(statement.value):
            continue
        is_required = statement.value is None
        yield statement.target.id, _argument(statement.annotation, definition, is_required)


def _argument(
    annotation: ast.expr | None,
    definition: Definition,
    is_required: bool,
    *,
    is_positional: bool = False,
) -> Argument:
    expected = Anything() if annotation is None else read_annotation(annotation, definition.module)
    return Argument(expected=expected, is_required=is_required, is_positional=is_positional)


def _is_no_argument(value: ast.expr | None) -> bool:
    """Recognize ``field(init=False)``."""
    return isinstance(value, ast.Call) and any(
        keyword.arg == "init" and ast.unparse(keyword.value) == "False"
        for keyword in value.keywords
    )


def _functions(node: ast.ClassDef) -> Iterator[ast.FunctionDef]:
    """Go through the methods; the last of several of one name, as overloads come first."""
    methods = {n.name: n for n in node.body if isinstance(n, ast.FunctionDef)}
    yield from methods.values()


def _has(node: ast.FunctionDef, decorator: str) -> bool:
    return any(_word(d) == decorator for d in node.decorator_list)


def _word(decorator: ast.expr) -> str:
    """Return the last word of a decorator: ``dataclass`` of ``dataclasses.dataclass(...)``."""
    call = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(call).rpartition(".")[2]
