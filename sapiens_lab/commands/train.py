"""``sapiens train``: fit a model. The overrides belong to Hydra and are passed on untouched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from omegaconf import DictConfig


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    add_help_option=False,  # `--help` is Hydra's: it lists the config groups
)
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED, metavar="[KEY=VALUE]...")
def train(overrides: tuple[str, ...]) -> None:
    """Train a model: sapiens train experiment=pose/coco17 data.root=FOLDER"""
    from sapiens_lab.commands.hydra_app import Command, run_app

    run_app(Command.TRAIN, overrides, fit, interrupted=_interrupted)


def fit(config: DictConfig) -> float | None:
    """Train what a config describes; return the monitored metric of the best checkpoint."""
    from sapiens_lab.commands.build import build, passing_interrupts
    from sapiens_lab.training.callbacks.final_validation import refuse_empty_training

    if config.resume == "auto":
        raise ValueError("`resume=auto` works on the command line only, not in a config file")
    if config.extend is not None and config.resume is None:
        raise ValueError("`extend=N` works on the command line only, not in a config file or -m")
    if config.ckpt_path is not None:
        raise ValueError(
            f"ckpt_path={config.ckpt_path} is for `evaluate`. To train, `resume=PATH` continues a "
            "run and `weights=PATH` starts from its weights"
        )
    if config.find_lr and config.resume is not None:
        raise ValueError("find_lr=true starts from weights=PATH, and continues no run (resume=)")
    learner, datamodule, trainer = build(config, find_lr=config.find_lr)
    refuse_empty_training(trainer)
    with passing_interrupts(trainer):
        trainer.fit(learner, datamodule=datamodule, ckpt_path=config.resume, weights_only=True)
    scores = [getattr(callback, "score", None) for callback in trainer.checkpoint_callbacks]
    return next((score for score in scores if score is not None), None)


def _interrupted() -> str:
    from sapiens_lab.commands.claim import is_main_process, own_folder

    if not is_main_process():
        return ""
    folder = own_folder()
    if folder is None or not (folder / "checkpoints/last.ckpt").is_file():
        return "stopped; nothing was trained yet"
    return f"stopped; {folder}/checkpoints/last.ckpt is whole, and `resume=auto` continues there"
