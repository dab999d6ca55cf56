"""Which words of an earlier run's command line are applied when it is continued or evaluated.

A checkpoint may come from anyone, with an ``overrides.yaml`` beside it; an override can name any
function to be called. A run that this user wrote carries a signature by a key that never leaves
the user's cache; its words are applied as they are. Of all other runs only data are applied:
values, and classes that a shipped config names.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from sapiens_lab.atomic import write_text
from sapiens_lab.cache import cache_folder
from sapiens_lab.limits import check_bytes, read_file

SIGNATURE_FILE = "overrides.signature"
_MAX_BYTES = 1 << 20
_KEY_FILE = "run_key"

# Keys that say what is read; others with such a value say what is written, or lead to configs.
_READ = re.compile(r"(data\..*|weights|skeleton|parts)")
_WRITTEN = re.compile(r".*\bcache\w*")
_PLACE = re.compile(r"[/~\\]|.*\.\.|.*://|.*hub:", re.DOTALL)
_PLAIN_REFERENCE = re.compile(r"\$\{[\w.]+\}")
_NEVER = re.compile(r"(hydra|trust_run|limit_scale|trainer\.plugins)\b.*")
_TARGET = re.compile(r"^\s*_target_:\s*([\w.]+)\s*(?:#.*)?$", re.MULTILINE)


def sign_run(overrides_file: Path) -> None:
    """Mark a run as this user's own; without a cache that can be written, it stays unmarked."""
    if key := _user_key(create=True):
        signature = hmac.new(key, overrides_file.read_bytes(), hashlib.sha256).hexdigest()
        write_text(overrides_file.with_name(SIGNATURE_FILE), signature)


def recorded_words(overrides_file: Path, configs: Iterable[Path], *, is_trusted: bool) -> list[str]:
    """Return the recorded overrides of a run, if they may be applied.

    Args:
        overrides_file: of the run; need not exist.
        configs: folders of configs that this user has chosen; classes that they name are known.
        is_trusted: the user has said that whoever wrote the run may choose what is called.

    Raises:
        ValueError: the file is malformed, or holds more than data; lists it.
    """
    if not overrides_file.exists():
        return []
    content = read_file(overrides_file, _MAX_BYTES)
    try:
        words = yaml.safe_load(content) or []
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{overrides_file} is not valid YAML: {error}") from error
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{overrides_file} is no list of overrides such as optimizer.lr=1e-4")
    if is_trusted or _is_own(overrides_file, content):
        return words
    if strange := [word for word in words if not _is_data(word, configs)]:
        listed = "\n  ".join(word[:200] for word in strange)
        raise ValueError(
            f"{overrides_file} was not written by this user and holds overrides that choose what "
            f"is called or where files are written:\n  {listed}\n"
            "Add trust_run=true if you trust whoever wrote it, or take these lines out"
        )
    return words


def _is_data(word: str, configs: Iterable[Path]) -> bool:
    """Return whether an override can do no more than set values of known classes."""
    try:
        override: Override = OverridesParser.create().parse_override(word)
    except (HydraException, ValueError, RecursionError):
        return False
    key = override.key_or_group
    package = override.package or ""
    if override.is_sweep_override() or _NEVER.match(key) or _NEVER.match(package):
        return False
    is_read = bool(_READ.fullmatch(key)) and not _WRITTEN.fullmatch(key)
    targets = []
    for name, value in _leaves(key, override.value()):
        if name.split(".")[-1] == "_target_":
            targets.append(str(value))
            continue
        text = str(value)
        if "${" in _PLAIN_REFERENCE.sub("", text) or "$" in name:
            return False  # a resolver, which may make a node of any kind
        if _PLACE.match(text) and not is_read:
            return False
    return set(targets) <= _known_targets(configs) if targets else True


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Return all values within a value with their keys."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _leaves(f"{key}.{name}", child)
    elif isinstance(value, list):
        for child in value:
            yield from _leaves(key, child)
    else:
        yield key, value


def _known_targets(configs: Iterable[Path]) -> set[str]:
    files = (file for folder in configs for file in folder.rglob("*.yaml"))
    return {name for file in files for name in _TARGET.findall(file.read_text())}


def _is_own(overrides_file: Path, content: bytes) -> bool:
    signature, key = overrides_file.with_name(SIGNATURE_FILE), _user_key(create=False)
    if key is None or not signature.is_file():
        return False
    check_bytes(signature.stat().st_size, _MAX_BYTES, signature)
    expected = hmac.new(key, content, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.read_bytes().strip())


def _user_key(*, create: bool) -> bytes | None:
    """Return the key of this user, readable by this user only."""
    path = cache_folder() / _KEY_FILE
    try:
        if create and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{_KEY_FILE}.{os.getpid()}")
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(32))
            try:
                os.link(part, path)  # whoever comes first; another process's key is not replaced
            except FileExistsError:
                pass
            finally:
                part.unlink()
        key = path.read_bytes()
    except OSError:
        return None
    return key if len(key) == 32 else None
