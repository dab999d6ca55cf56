"""The table of checks in docs/doctor.md is that of the code."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from typing import Any

from sapiens_lab.data import checks
from tests.conftest import ROOT

ROW = re.compile(r"^\| `(\w+\.\w+)` \| ([a-z, ]+) \| (.+) \| (.+) \|$", re.MULTILINE)


def functions() -> dict[str, Callable[..., Any]]:
    found = {}
    for module in pkgutil.iter_modules(checks.__path__):
        loaded = importlib.import_module(f"{checks.__name__}.{module.name}")
        for name, value in vars(loaded).items():
            if name.startswith("check_") and value.__module__ == loaded.__name__:
                found[f"{module.name}.{name.removeprefix('check_')}"] = value
    return found


def severities(function: Callable[..., Any]) -> set[str]:
    """Return what a check, and what it calls in its own module, may answer."""
    source = inspect.getsource(function)
    module = inspect.getmodule(function)
    own = {
        n: f
        for n, f in inspect.getmembers(module, inspect.isfunction)
        if f.__module__ == module.__name__
    }
    called = set(re.findall(r"\b(\w+)\(", source)) & set(own)
    text = source + "".join(inspect.getsource(own[name]) for name in called)
    return {severity for severity in ("error", "warning") if f'"{severity}"' in text}


def test_every_check_is_in_the_table() -> None:
    rows = {
        name: severity for name, severity, *_ in ROW.findall((ROOT / "docs/doctor.md").read_text())
    }
    known = functions()
    assert sorted(rows) == sorted(known)
    assert {name: set(text.split(", ")) for name, text in rows.items()} == {
        name: severities(function) for name, function in known.items()
    }
