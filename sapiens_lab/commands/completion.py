"""Shell completion: of subcommands and options by click, of released models by their names."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from sapiens_lab.atomic import write_text

_VARIABLE = "_SAPIENS_COMPLETE"  # where click looks for what the shell asks
_STARTUP_FILES = {"bash": ".bashrc", "zsh": ".zshrc"}  # fish reads every file of its folder


def install_completion(context: click.Context, option: click.Parameter, value: bool) -> None:
    """Write the completion script of the user's shell and let the shell read it at start-up.

    Raises:
        click.UsageError: ``$SHELL`` is neither bash, zsh nor fish.
    """
    if not value or context.resilient_parsing:
        return
    shell = Path(os.environ.get("SHELL", "")).name
    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"$SHELL is {shell or 'not set'}; bash, zsh and fish are known")
    source = completion(context.command, {}, str(context.info_name), _VARIABLE).source()
    if shell == "fish":
        script = Path.home() / ".config/fish/completions/sapiens.fish"
    else:
        script = Path.home() / f".config/sapiens_lab/completion.{shell}"
    write_text(script, source)
    if shell in _STARTUP_FILES:
        _append_once(Path.home() / _STARTUP_FILES[shell], f'source "{script}"')
    click.echo(f"{script}: completion works in every new {shell}")
    context.exit()


def complete_model(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a released model; files are completed where none begins so."""
    from sapiens_lab.weights.catalog import list_models

    names = [model.name for model in list_models() if model.name.startswith(incomplete)]
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="file")]


def _append_once(path: Path, line: str) -> None:
    text = path.read_text() if path.is_file() else ""
    if line not in text.splitlines():
        write_text(path, f"{text.rstrip()}\n{line}\n".lstrip("\n"))
