"""Answer a ``_target_`` that names nothing."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path

from sapiens_lab.commands.overrides import sources


def add_search_folders(folders: Iterable[Path]) -> None:
    """Let ``_target_`` name modules of these folders; what is installed goes first."""
    for folder in folders:
        if (path := str(folder.resolve())) not in sys.path:
            sys.path.append(path)


def find_fault(target: object) -> str | None:
    """Say what is wrong with a target; ``None`` if it can be called."""
    if not isinstance(target, str) or not all(w.isidentifier() for w in target.split(".")):
        return "must be a dotted path such as my_module.MyClass"
    if "." not in target:
        return f"must be a dotted path such as my_module.MyClass; `{target}` has no module"
    if sources.resolve(target) is not None:
        return None
    words = target.split(".")
    known = next((n for n in range(len(words), 0, -1) if sources.find_spec(".".join(words[:n]))), 0)
    if known == 0:
        return (
            f"there is no module `{words[0]}` in {', '.join(_search_path())}. A module of your own "
            "is found in the current folder and in --config-dir"
        )
    if known == len(words):
        return "is a module, not a class or a function in it"
    return _find_fault_within(".".join(words[:known]), words[known:])


def _find_fault_within(module: str, rest: list[str]) -> str | None:
    """Look into a module; it is imported where a name may be made at run time."""
    source = sources.module(module)
    if source is not None and source.is_complete:
        return _unknown_name(module, rest)
    try:
        value = importlib.import_module(module)
        for word in rest:
            value = getattr(value, word)
    except AttributeError:
        return _unknown_name(module, rest)
    except Exception as error:  # whatever the module does
        return f"importing {module} failed: {type(error).__name__}: {error}"
    return None if callable(value) else "is neither a class nor a function"


def _unknown_name(module: str, rest: list[str]) -> str:
    found = sources.module(module)
    names = sources.names(found) if found is not None else dir(importlib.import_module(module))
    spec = sources.find_spec(module)
    folders = (spec.submodule_search_locations if spec else None) or []
    modules = [m.name for m in pkgutil.iter_modules(list(folders)) if not m.name.startswith("_")]
    is_path = len(rest) > 1  # the missing word stands where a module would
    what, candidates = ("module", modules) if is_path and modules else ("class", names)
    if what == "class" and not names:
        what, candidates = "module", modules
    near = difflib.get_close_matches(rest[0], candidates, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(f'`{module}.{n}`' for n in near)}?" if near else ""
    listed = f" It has {', '.join(candidates[:12])}" if candidates else ""
    more = f" and {len(candidates) - 12} more" if len(candidates) > 12 else ""
    return f"there is no {what} `{rest[0]}` in {module}{hint}{listed}{more}"


def _search_path() -> list[str]:
    """Return the Python path, without Python's own libraries."""
    own = Path(sys.base_prefix) / "lib"
    return [p or str(Path.cwd()) for p in sys.path if not Path(p or ".").is_relative_to(own)]
