"""From a source to tensors under our names and what the file says of itself.

Official files (training checkpoints, cleaned ones, TorchScript, torch.export), safetensors, our
own checkpoints and exports, released models by name, files on the hub. Nothing in a file is ever
executed.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from sapiens_lab.limits import MAX_JSON_BYTES, read_file
from sapiens_lab.models.lora import merge_lora
from sapiens_lab.weights.description import KEY, Description
from sapiens_lab.weights.families import FamilyFile, Hints, Release, State, families
from sapiens_lab.weights.hub import locate
from sapiens_lab.weights.reading import Stub, file_crc, read_content

log = logging.getLogger(__name__)

CONFIG, TENSORS = "config.json", "model.safetensors"  # of an export's folder
EXPORT_ID = "export_id"  # key in both of them
SHARDS = ".safetensors.index.json"  # end of the name of a table of shards
_SHARD = re.compile(r"-\d{5}-of-(\d{5})\.safetensors$")  # end of the name of a shard
_WRAPPERS = ("state_dict", "model", "module")  # keys under which files usually keep the tensors
_PREFIXES = ("module.", "model.", "_orig_mod.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The content of a file. A file of ours has a description, any other a family."""

    path: Path
    state: State  # under our names
    description: Description | None = None
    file: FamilyFile | None = None
    release: Release | None = None

    def describe(self, hints: Hints | None = None) -> Description:
        """Return what the file is.

        Args:
            hints: what the user says of an official file.

        Raises:
            ValueError: the tensors are of no known family, a number must be given, or numbers are
                given for a file that says them itself.
        """
        hints = hints or Hints()
        if self.description is not None:
            if given := hints.given():
                raise ValueError(
                    f"{self.path} says itself how its model is built; leave out {', '.join(given)}"
                )
            return self.description
        if self.file is None:
            shown = ", ".join(list(self.state)[:4])
            raise ValueError(
                f"{self.path} does not say how its model is built, and its tensors are of no "
                f"known family: {shown}, ..."
            )
        return self.file.describe(self.release, hints)

    @property
    def license(self) -> str | None:
        """The terms of a released model, or those that an export of ours has passed on."""
        if self.release is not None:
            return self.release.license
        return None if self.description is None else self.description.license

    @property
    def task(self) -> Mapping[str, Any]:
        """What the model is for: ``name`` and the ``meaning`` of its outputs, where known."""
        if self.description is not None:
            return self.description.task
        return {} if self.file is None else self.file.task(self.release)

    @property
    def grid(self) -> tuple[int, int] | None:
        """The (rows, columns) of patches of the encoder, where the file says them."""
        match self.description and self.description.model:
            case {"backbone": {"image_size": [int(height), int(width)], "patch_size": int(patch)}}:
                return (height // patch, width // patch) if patch > 0 else None
        return None

    @property
    def origin(self) -> str:
        """The released name or the path."""
        return str(self.path) if self.release is None else self.release.name


def read_weights(source: str | Path) -> Weights:
    """Read a file, an export's folder, a released model or a file of the hub.

    Raises:
        FileNotFoundError: there is no such file, name or id.
        ValueError: it cannot be read or holds no tensors; names it.
    """
    path, release = locate(source)
    path = _file_in(path)
    content = _read_shards(path) if path.name.endswith(SHARDS) else read_content(path)
    tensors = _tensors(content, path)
    if (description := _description(content, path)) is not None:
        if description.lora_scale is not None:
            tensors = merge_lora(tensors, scale=description.lora_scale)
        return Weights(path=path, state=tensors, description=description, release=release)
    file = _recognize(tensors) or _recognize(_without_shared_prefix(tensors))
    state = tensors if file is None else file.state
    return Weights(path=path, state=state, file=file, release=release)


def _recognize(tensors: State) -> FamilyFile | None:
    found = (family.recognize(tensors) for family in families())
    return next((file for file in found if file is not None), None)


def _without_shared_prefix(tensors: State) -> State:
    """Take the names away that a wrapper of someone's own has put before all others."""
    names = list(tensors)
    while len({name.partition(".")[0] for name in names}) == 1 and all("." in n for n in names):
        names = [name.partition(".")[2] for name in names]
    return dict(zip(names, tensors.values(), strict=True))


def _file_in(path: Path) -> Path:
    """Return the file of tensors of a folder."""
    if not path.is_dir():
        if (shard := _SHARD.search(path.name)) and int(shard[1]) > 1:
            raise ValueError(f"{path} is one of {int(shard[1])} shards; name their folder")
        return path
    names = [TENSORS, *sorted(p.name for p in path.glob(f"*{SHARDS}"))]
    found = next((path / name for name in names if (path / name).is_file()), None)
    if found is None:
        raise ValueError(f"{path} is a folder without {TENSORS}; name the file in it")
    return found


def _description(content: Any, path: Path) -> Description | None:
    """Return what an export or a checkpoint of ours says of itself."""
    if path.suffix == ".safetensors":
        config = path.with_name(CONFIG)
        found = Description.from_json(config) if config.is_file() else None
        if found is not None and found.export_id is not None:
            _check_same_export(path, found.export_id)
        if found is not None and found.crc32 is not None and file_crc(path) != found.crc32:
            raise ValueError(
                f"{path} is damaged: its checksum is not the one in {CONFIG}. Copy it or export it "
                f"again; if you changed it on purpose, set 'crc32' in {CONFIG} to null"
            )
        return found
    return Description.from_dict(content.get(KEY), path) if isinstance(content, Mapping) else None


def _check_same_export(path: Path, expected: str) -> None:
    """Refuse tensors beside the description of others, which an interrupted export leaves."""
    with safe_open(path, "pt") as file:
        found = (file.metadata() or {}).get(EXPORT_ID)
    if found != expected:
        raise ValueError(
            f"{path} and {path.with_name(CONFIG)} were not written together: an export was "
            "interrupted, or one of them was replaced. Export again (`resume=` with the finished "
            f"run); if you replaced it on purpose, set {EXPORT_ID!r} in {CONFIG} to null"
        )


def _read_shards(path: Path) -> dict[str, Any]:
    """Read the shards that a table names; they lie beside it."""
    try:
        table = dict(json.loads(read_file(path, MAX_JSON_BYTES))["weight_map"])
        names = sorted(set(table.values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is no table of shards: {error}") from error
    merged: dict[str, Any] = {}
    for name in names:
        if Path(str(name)).name != name or not (path.parent / name).is_file():
            raise ValueError(f"{path} names the shard {name}, which is not beside it")
        merged |= read_content(path.parent / name)
    if lacking := [name for name in table if name not in merged]:
        raise ValueError(
            f"{path} names {len(lacking)} tensors that its shards do not hold, e.g. {lacking[0]}; "
            "download or copy them again"
        )
    return merged


def _tensors(content: Any, path: Path) -> State:
    """Return the tensors of a file by their names, without the prefixes of wrappers."""
    found = _unwrapped(content)
    flat = {_stripped(str(k)): v for k, v in found.items() if isinstance(v, Tensor)}
    if flat:
        return flat
    where = _deepest(content)
    if where is not None:
        key, inner = where
        log.info("%s: the tensors are those under %s", path, key)
        return {_stripped(str(k)): v for k, v in inner.items() if isinstance(v, Tensor)}
    if isinstance(content, Stub):
        raise ValueError(
            f"{path} is a whole pickled object ({content.name}), which cannot be read without "
            "running its code; save model.state_dict() instead of the model"
        )
    keys = ", ".join(_with_kind(*item) for item in list(found.items())[:6])
    keys = keys or type(content).__name__
    raise ValueError(f"{path} holds no tensors; what is in it: {keys}")


def _unwrapped(content: Any) -> Mapping[str, Any]:
    while isinstance(content, Mapping):
        inner = next((content[k] for k in _WRAPPERS if isinstance(content.get(k), Mapping)), None)
        if inner is None:
            return content
        content = inner
    return {}


def _deepest(content: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return the dictionary further down that holds the most tensors, and its keys."""
    best: tuple[str, Mapping[str, Any]] | None = None
    most = 0
    rest: list[tuple[str, Any]] = [("", content)]
    while rest:
        key, node = rest.pop()
        if isinstance(node, Mapping):
            count = sum(isinstance(value, Tensor) for value in node.values())
            if count > most:
                best, most = (key, node), count
            rest += [(f"{key}.{k}" if key else str(k), v) for k, v in reversed(list(node.items()))]
    return best


def _with_kind(key: Any, value: Any) -> str:
    kind = value.name if isinstance(value, Stub) else type(value).__name__
    return f"{key} ({kind})"


def _stripped(key: str) -> str:
    while key.startswith(_PREFIXES):
        key = key.split(".", 1)[1]
    return key.replace("._orig_mod.", ".")
