"""From an annotation in a source file to what a key of the config may hold."""

from __future__ import annotations

import ast

from sapiens_lab.commands.overrides.expected import (
    BOOL,
    NULL,
    Anything,
    Built,
    Choice,
    Either,
    Expected,
    Fixed,
    Many,
    Named,
    Number,
    Text,
    either,
)
from sapiens_lab.commands.overrides.sources import Definition, Module, follow, full_name
from sapiens_lab.ranges import Range

_PLAIN: dict[str, Expected] = {
    "None": NULL,
    "bool": BOOL,
    "int": Number(True),
    "float": Number(False),
    "str": Text(),
    "Path": Text("a path"),
    "PathLike": Text("a path"),
    "list": Many(Anything()),
    "tuple": Many(Anything()),
    "dict": Named(Anything()),
}
_LISTS = {"Sequence", "list", "List", "Iterable", "Collection", "set", "Set", "frozenset"}
_MAPPINGS = {"Mapping", "dict", "Dict", "MutableMapping"}


def read_annotation(node: ast.expr, where: Module, depth: int = 0) -> Expected:
    """Return what an annotation allows; ``Anything`` where it is not understood."""
    if depth > 20:  # a type that names itself
        return Anything()
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return read_annotation(ast.parse(node.value, mode="eval").body, where, depth + 1)
        return NULL if node.value is None else Anything()
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return either(*(read_annotation(n, where, depth + 1) for n in (node.left, node.right)))
    if isinstance(node, ast.Subscript):
        return _subscript(node, where, depth)
    if isinstance(node, (ast.Name, ast.Attribute)):
        return _name(node, where, depth)
    return Anything()


def _name(node: ast.Name | ast.Attribute, where: Module, depth: int) -> Expected:
    word = full_name(node, where).rpartition(".")[2]
    if word in _PLAIN:
        return _PLAIN[word]
    if word in ("Any", "object"):
        return Anything()
    definition = follow(node, where)
    if definition is None:
        return Built("a function") if word == "Callable" else Anything()
    if isinstance(definition.node, ast.ClassDef):
        return _class(definition)
    if isinstance(definition.node, ast.expr):
        return read_annotation(definition.node, definition.module, depth + 1)
    return Anything()


def _class(definition: Definition) -> Expected:
    assert isinstance(definition.node, ast.ClassDef)
    bases = {ast.unparse(base).rpartition(".")[2] for base in definition.node.bases}
    if bases & {"Enum", "StrEnum", "IntEnum", "str", "int", "TypedDict", "NamedTuple"}:
        return Anything()
    return Built(definition.node.name)


def _subscript(node: ast.Subscript, where: Module, depth: int) -> Expected:
    word = full_name(node.value, where).rpartition(".")[2]
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]

    def read(item: ast.expr) -> Expected:
        return read_annotation(item, where, depth + 1)

    if word == "Literal":
        return _literal(inner)
    if word == "Annotated":
        return _within(read(inner[0]), inner[1:])
    if word == "Optional":
        return either(read(inner[0]), NULL)
    if word == "Union":
        return either(*(read(item) for item in inner))
    if word in ("ClassVar", "Final", "InitVar", "Required"):
        return read(inner[0])
    if word in ("tuple", "Tuple"):
        is_open = isinstance(inner[-1], ast.Constant) and inner[-1].value is Ellipsis
        return Many(read(inner[0])) if is_open else Fixed(tuple(read(item) for item in inner))
    if word in _LISTS:
        return Many(read(inner[0]))
    if word in _MAPPINGS:
        return Named(read(inner[-1]))
    if word == "Callable":
        return Built("a function")
    return Anything()


def _literal(items: list[ast.expr]) -> Expected:
    try:
        return Choice(tuple(ast.literal_eval(item) for item in items))
    except ValueError:
        return Anything()


def _within(expected: Expected, metadata: list[ast.expr]) -> Expected:
    """Apply ``Range(low=0)`` to the numbers of a type."""
    for item in metadata:
        if isinstance(item, ast.Call) and ast.unparse(item.func).rpartition(".")[2] == "Range":
            values = {str(k.arg): float(ast.literal_eval(k.value)) for k in item.keywords}
            expected = _limit(expected, Range(**values))
    return expected


def _limit(expected: Expected, allowed: Range) -> Expected:
    if isinstance(expected, Number):
        return Number(expected.is_whole, allowed)
    if isinstance(expected, Either):
        return either(*(_limit(option, allowed) for option in expected.options))
    return expected
