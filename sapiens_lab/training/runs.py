"""Runs on disk: what one writes about itself, and how a later command finds it again.

A run is a folder ``outputs/<experiment>/<time>``. ``overrides.yaml`` in it repeats the overrides
of its command line, so that ``resume=auto`` and ``ckpt_path=...`` rebuild the same objects without
the user typing them again; what the user does type wins.
"""

from __future__ import annotations

import logging
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from sapiens_lab import atomic

log = logging.getLogger(__name__)

OVERRIDES_FILE = "overrides.yaml"
# Keys that name an earlier run, or trust one, are not repeated.
_POINTERS = ("resume", "ckpt_path", "trust_run", "extend")
_PACKAGES = ("sapiens-lab", "torch", "torchvision", "lightning", "timm", "hydra-core", "numpy",
             "opencv-python", "torchmetrics", "faster-coco-eval")  # fmt: skip


# ---- recording a run -----------------------------------------------------------------------------


def claim_run(folder: Path, overrides: Iterable[str]) -> None:
    """Write the overrides into a new run's folder, which makes it this run's.

    Raises:
        FileExistsError: the folder holds another run, which would be mixed with this one.
        WriteError: there is no room or no permission.
    """
    try:
        atomic.create(folder / OVERRIDES_FILE, _recorded(overrides).encode())
    except FileExistsError:
        raise FileExistsError(
            f"{folder} already holds a run. Continue it with `resume=auto`, or give this one "
            "another folder with `hydra.run.dir=PATH`"
        ) from None


def replan_run(folder: Path, overrides: Iterable[str]) -> None:
    """Write the overrides of a run that goes on with others, in place of those before."""
    atomic.write_text(folder / OVERRIDES_FILE, _recorded(overrides))


def _recorded(overrides: Iterable[str]) -> str:
    kept = [word for word in overrides if override_key(word) not in _POINTERS]
    return OmegaConf.to_yaml(OmegaConf.create(kept))


def record_run(config: DictConfig, folder: Path) -> None:
    """Write config and environment into a run's folder."""
    atomic.write_text(folder / "config.yaml", OmegaConf.to_yaml(config, resolve=True))
    atomic.write_text(folder / "environment.txt", environment())


def environment() -> str:
    """Return versions, machine and source revision, a line each."""
    import torch

    lines = [f"command: {' '.join(sys.argv)}", f"python: {platform.python_version()}"]
    installed = {d.name.lower(): d.version for d in metadata.distributions()}
    lines += [f"{name}: {installed.get(name, 'not installed as a package')}" for name in _PACKAGES]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    lines += [f"platform: {platform.platform()}", f"gpu: {device}", f"git: {_revision()}"]
    return "\n".join(lines) + "\n"


def _revision() -> str:
    """Return the checkout's commit, marked where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        result = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return result.stdout.strip() or "not a checkout"


# ---- finding a run -------------------------------------------------------------------------------


def existing_checkpoint(key: str, path: Path) -> Path:
    """Return the absolute path of a checkpoint that ``key=path`` names.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{key}={path}: there is no such file. Checkpoints of a run are "
            "<run>/checkpoints/best.ckpt and last.ckpt; `auto` takes the latest run's"
        )
    return path.resolve()


def latest_checkpoint(experiment: Path, name: str) -> Path | None:
    """Return the newest ``*/checkpoints/<name>`` below an experiment's folder."""
    found = experiment.glob(f"*/checkpoints/{name}")
    latest = max(found, key=_time, default=None)
    return None if latest is None else latest.resolve()


def latest_state(experiment: Path) -> Path | None:
    """Return the newest whole checkpoint of an experiment's latest run that can be continued.

    Checkpoints that are skipped are named, with the reason. A run that was killed before its first
    state was saved is begun again.

    Raises:
        ValueError: that run's states are all damaged.
    """
    newest = latest_checkpoint(experiment, "*.ckpt")
    if newest is None:
        return None
    found = sorted(newest.parent.glob("*.ckpt"), key=_time, reverse=True)
    found.sort(key=lambda path: path.name != "last.ckpt")
    is_damaged = False
    for path in found:
        try:
            check_state(path)
            return path.resolve()
        except WeightsOnlyError as error:
            log.warning("skipped: %s", error)
        except ValueError as error:
            is_damaged = True
            log.warning("skipped: %s", error)
    if is_damaged:
        raise ValueError(
            f"no checkpoint of {newest.parent.parent} can be continued, for the reasons above. "
            "Start from its weights (`weights=PATH`), or delete its folder to begin again"
        )
    return None


class WeightsOnlyError(ValueError):
    """A file of weights was given where the state of a run is needed."""


def check_state(path: Path) -> None:
    """Read a checkpoint once, to refuse what cannot be continued before anything is built.

    Raises:
        ValueError: it is damaged.
        WeightsOnlyError: it holds weights and no state of a run.
    """
    from sapiens_lab.weights.reading import read_content

    content = read_content(path)
    if not isinstance(content, dict) or "optimizer_states" not in content:
        raise WeightsOnlyError(
            f"{path} holds weights and no state of a run: start from it with weights={path}"
        )


def finished_epochs(path: Path) -> int:
    """Return after how many epochs the run of a checkpoint ended.

    Raises:
        ValueError: it has not ended.
    """
    from sapiens_lab.weights.reading import read_content

    content = read_content(path)
    epochs = int(content["epoch"]) + 1
    if not content["callbacks"].get("FinalValidation", {}).get("has_ended", False):
        raise ValueError(
            f"the run of {path} is not finished: it stopped in epoch {epochs}. Continue it with "
            f"resume={path}; a finished run can be extended"
        )
    return epochs


def _time(path: Path) -> float:
    return path.stat().st_mtime


# ---- overrides -----------------------------------------------------------------------------------


def override_key(override: str) -> str:
    """Return the key of ``key=value``, ``+key=value``, ``~key`` or ``group@package=option``."""
    return override.split("=", 1)[0].lstrip("+~").split("@")[0]


def merge_overrides(old: Iterable[str], new: Iterable[str]) -> list[str]:
    """Let the newer of two overrides of one key stand.

    ``~key`` takes away what the old ones add, so they stay before it.
    """
    new = list(new)
    replaced = {override_key(override) for override in new if not override.startswith("~")}
    deleted = {override_key(override) for override in new if override.startswith("~")}
    return [
        override for override in old
        if (key := override_key(override)) not in replaced
        and not (key in deleted and override.startswith("~"))
    ] + new  # fmt: skip
