"""Nothing in the package reads a file with what runs code, or could be made to."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import sapiens_lab

FORBIDDEN = {
    "torch.load", "torch.hub", "torch.package", "torch.jit.load", "torch._C.PyTorchFileReader",
    "torch.export.load", "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads",
    "shelve.open", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "joblib.load",
    "zipfile.ZipFile", "eval", "exec", "os.system",
}  # fmt: skip
# Rendered scenes lie in the user's own cache.
ALLOWED = {"scene_file.py": {"zipfile.ZipFile"}}
PACKAGE = Path(sapiens_lab.__file__).parent


def names(tree: ast.AST) -> Iterator[str]:
    """Return the dotted names that a module uses or imports."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Name)):
            yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_no_module_uses_what_runs_code(path: Path) -> None:
    found = set(names(ast.parse(path.read_text())))
    assert FORBIDDEN & found == ALLOWED.get(path.name, set())


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_numpy_never_unpickles(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert ast.unparse(node.value) == "False"
