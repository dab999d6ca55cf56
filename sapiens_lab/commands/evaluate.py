"""``sapiens evaluate``: measure a checkpoint. The overrides belong to Hydra."""

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
def evaluate(overrides: tuple[str, ...]) -> None:
    """Measure a model: sapiens evaluate experiment=pose/coco17 ckpt_path=auto"""
    from sapiens_lab.commands.hydra_app import Command, run_app

    run_app(Command.EVALUATE, overrides, measure)


def measure(config: DictConfig) -> float | None:
    """Evaluate what a config describes; return the monitored metric."""
    from sapiens_lab.commands.build import build, passing_interrupts

    learner, datamodule, trainer = build(config)
    with passing_interrupts(trainer):
        trainer.test(
            learner,
            datamodule=datamodule,
            ckpt_path=config.ckpt_path,
            weights_only=True,
            verbose=False,  # our own table says it
        )
    score = trainer.callback_metrics.get(config.monitor.replace("val/", "test/", 1))
    return None if score is None else float(score)
