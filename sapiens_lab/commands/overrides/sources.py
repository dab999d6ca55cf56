"""Find the source of a dotted path without importing it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

_MAX_HOPS = 12  # from one re-export to the next


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """A parsed module."""

    name: str
    is_package: bool
    bindings: dict[str, ast.AST]  # name -> what it is bound to at the top level
    stars: tuple[str, ...]  # modules from which everything is imported
    has_stub: bool  # which lists all public names

    @property
    def is_complete(self) -> bool:
        """Whether no name is made at run time."""
        if self.has_stub:
            return True
        homes = [module(star) for star in self.stars]
        is_plain = "__getattr__" not in self.bindings
        return is_plain and all(home is not None and home.is_complete for home in homes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """Where a name is defined."""

    node: ast.AST  # a class, a function, or the value that is assigned
    module: Module
    owner: ast.ClassDef | None = None  # of a method


def resolve(path: str) -> Definition | None:
    """Return the definition of ``package.module.name`` or ``package.module.Class.method``."""
    words = path.split(".")
    for length in range(len(words) - 1, 0, -1):
        if (found := module(".".join(words[:length]))) is None:
            continue
        definition = lookup(found, words[length])
        for word in words[length + 1 :]:
            definition = None if definition is None else _member(definition, word)
        return definition
    return None


def lookup(where: Module, name: str, hops: int = 0) -> Definition | None:
    """Return the definition of a name of a module, through imports and assignments."""
    if hops > _MAX_HOPS:
        return None
    node = where.bindings.get(name)
    if isinstance(node, ast.alias):  # `value` holds the full path
        home, _, original = node.name.rpartition(".")
        target = module(home) if home else None
        return None if target is None else lookup(target, original, hops + 1)
    if isinstance(node, ast.Name) and node.id != name:
        return lookup(where, node.id, hops + 1)
    if node is not None:
        return Definition(node=node, module=where)
    for star in where.stars:
        target = module(star)
        if target is not None and (found := lookup(target, name, hops + 1)) is not None:
            return found
    return None


def follow(expression: ast.expr, where: Module) -> Definition | None:
    """Return the definition that a name or ``module.name`` in a module's source means."""
    if isinstance(expression, ast.Name):
        return lookup(where, expression.id)
    if isinstance(expression, ast.Attribute):
        return resolve(full_name(expression, where))
    return None


def full_name(expression: ast.expr, where: Module) -> str:
    """Return the dotted path of an expression, its first word replaced by what was imported."""
    first, dot, rest = ast.unparse(expression).partition(".")
    node = where.bindings.get(first)
    return (node.name if isinstance(node, ast.alias) else first) + dot + rest


def names(where: Module) -> list[str]:
    """Return the public classes and functions of a module, those that it only imports included."""
    own = (ast.ClassDef, ast.FunctionDef) if not where.is_package else ast.AST
    return sorted(n for n, node in where.bindings.items() if isinstance(node, own) and n[0] != "_")


def find_spec(name: str) -> ModuleSpec | None:
    """Find a module as an import would, without importing its packages."""
    path: Sequence[str] | None = None
    spec = None
    words = name.split(".")
    for length in range(1, len(words) + 1):
        full = ".".join(words[:length])
        specs = (_ask(finder, full, path) for finder in sys.meta_path)
        spec = next((s for s in specs if s is not None), None)
        if spec is None or (length < len(words) and spec.submodule_search_locations is None):
            return None
        path = spec.submodule_search_locations
    return spec


@cache
def module(name: str) -> Module | None:
    """Parse a module; ``None`` if there is none, or none in Python."""
    spec = find_spec(name)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    is_package = spec.submodule_search_locations is not None
    path = Path(spec.origin)
    bindings: dict[str, ast.AST] = {}
    stars: list[str] = []
    # A package of ours imports its public names when they are used, and lists them in a stub.
    for file in (path.with_suffix(".pyi"), path) if is_package else (path,):
        try:
            tree = ast.parse(file.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        for name_, node in _bindings(tree.body, name if is_package else name.rpartition(".")[0]):
            if name_ == "*":
                assert isinstance(node, ast.alias)
                stars.append(node.name)
            else:
                bindings[name_] = node
    has_stub = is_package and path.with_suffix(".pyi").is_file()
    return Module(name, is_package, bindings, tuple(stars), has_stub)


def _ask(finder: object, name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    find = getattr(finder, "find_spec", None)
    found = None if find is None else find(name, path)
    return found if isinstance(found, ModuleSpec) else None


def _bindings(body: Sequence[ast.stmt], package: str) -> Iterator[tuple[str, ast.AST]]:
    """Go through what statements bind; ``*`` stands for everything of a module."""
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.name, node
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    yield alias.asname, ast.alias(alias.name)
                else:
                    first = alias.name.partition(".")[0]
                    yield first, ast.alias(first)
        elif isinstance(node, ast.ImportFrom):
            home = _home(node, package)
            for alias in node.names:
                path = home if alias.name == "*" else f"{home}.{alias.name}"
                yield alias.asname or alias.name, ast.alias(path)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node.value or node.annotation
        elif isinstance(node, ast.If):
            yield from _bindings([*node.orelse, *node.body], package)
        elif isinstance(node, ast.Try):
            handlers = [statement for handler in node.handlers for statement in handler.body]
            yield from _bindings([*handlers, *node.body], package)


def _home(node: ast.ImportFrom, package: str) -> str:
    """Return the module of ``from ...module import``."""
    if not node.level:
        return node.module or ""
    words = package.split(".")
    base = words[: len(words) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _member(definition: Definition, name: str) -> Definition | None:
    node = definition.node
    if not isinstance(node, ast.ClassDef):
        return None
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == name:
            return Definition(node=statement, module=definition.module, owner=node)
    return None
