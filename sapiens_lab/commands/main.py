"""The command ``sapiens``: its subcommands, a file each.

Nothing heavy is imported until a subcommand runs, so help and shell completion answer at once.
"""

from __future__ import annotations

import click

from sapiens_lab import __version__
from sapiens_lab.commands.completion import install_completion
from sapiens_lab.commands.convert import convert
from sapiens_lab.commands.doctor.command import doctor
from sapiens_lab.commands.evaluate import evaluate
from sapiens_lab.commands.predict import predict
from sapiens_lab.commands.reconstruct import reconstruct
from sapiens_lab.commands.render import render
from sapiens_lab.commands.shards import shards
from sapiens_lab.commands.train import train
from sapiens_lab.commands.weights import weights

PROGRAM = "sapiens"


@click.group(PROGRAM, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM)
@click.option(
    "--install-completion",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=install_completion,
    help="Let the shell ($SHELL: bash, zsh or fish) complete this command.",
)
def sapiens() -> None:
    """Pretrain, fine-tune, evaluate and run human-vision models."""


for _command in (train, evaluate, predict, doctor, convert, render, weights, shards, reconstruct):
    sapiens.add_command(_command)
