"""Claim the folder of a run: of two runs that begin in the same second, one gets another name."""

from __future__ import annotations

import contextlib
import os
from itertools import count
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, flag_override

_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")  # Lightning's order
_TIME = "${now:"  # in a name that the user did not choose


class ClaimFolder(Callback):  # type: ignore[misc]  # mypy does not look into hydra
    """Make the run's folder before Hydra does, which would take an existing one."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Claim ``hydra.run.dir``."""
        _claim(config, config.hydra.run)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Claim ``hydra.sweep.dir``."""
        _claim(config, config.hydra.sweep)


def claim_folder(wanted: Path) -> Path:
    """Make a folder that did not exist: ``wanted``, or ``wanted_1``, ``wanted_2``, ..."""
    wanted.parent.mkdir(parents=True, exist_ok=True)
    for number in count():
        folder = wanted.with_name(f"{wanted.name}_{number}") if number else wanted
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError("unreachable")


class _Own:
    folder: Path | None = None  # one run at a time; what another run owns is never written to


def own(folder: Path) -> None:
    """Note that a folder is this run's."""
    _Own.folder = folder


def release() -> None:
    """Forget the folder of the run before, in a sweep."""
    _Own.folder = None


def own_folder() -> Path | None:
    """Return the folder of this process's run, once it is claimed."""
    return _Own.folder


def is_main_process() -> bool:
    """Tell the process that a user started from those that the launcher added to it."""
    ranks = (os.environ.get(name) for name in _RANKS)
    return next((rank for rank in ranks if rank), "0") == "0"


def _claim(config: DictConfig, node: DictConfig) -> None:
    named = OmegaConf.to_container(node, resolve=False)
    assert isinstance(named, dict)
    if _TIME not in str(named["dir"]) or not is_main_process():
        return
    HydraConfig.instance().set_config(config)  # the name refers to it
    with (
        flag_override(node, "readonly", False),
        contextlib.suppress(OSError),  # Hydra makes the folder next, and says what is wrong
    ):
        node.dir = str(claim_folder(Path(str(node.dir))))
