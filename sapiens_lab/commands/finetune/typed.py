"""Check what the user typed before anything is decided by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from sapiens_lab.commands.finetune.request import Request
from sapiens_lab.commands.overrides.checking import check_config

# What may stand where something is open.
_STAND_INS = {
    "image_size": "[256,192]",
    "weights": "null",
    "skeleton": "coco17",
    "parts": "goliath28",
    "data.batch_size": "1",
    "optimizer.lr": "1e-3",
    "optimizer.layer_decay": "null",
    "trainer.max_epochs": "1",
    "trainer.check_val_every_n_epoch": "1",
    "trainer.accumulate_grad_batches": "1",
}


def check_typed(request: Request) -> None:
    """Refuse values that no run would take.

    Raises:
        ValueError: lists all faults, one a line.
    """
    words = [f"{key}={value}" for key, value in _STAND_INS.items() if request.is_open(key)]
    config = request.compose([*words, *request.typed])
    choices = {name: str(option) for name, option in request.choices.items()}
    with _as_if_running(config):
        check_config(config, request.typed, choices)


@contextmanager
def _as_if_running(config: DictConfig) -> Iterator[None]:
    """Let ``${hydra:...}`` be resolved, and take Hydra's own node away."""
    OmegaConf.set_readonly(config, False)
    OmegaConf.set_readonly(config.hydra.runtime, False)
    with open_dict(config):
        config.hydra.runtime.output_dir = "run"
        before = HydraConfig.instance().cfg
        HydraConfig.instance().set_config(config)
        del config["hydra"]
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before
