"""``sapiens weights``: what was released, getting it, converting it, checking it, publishing it.

sapiens weights list
sapiens weights convert sapiens-pose-0.3b converted/pose
sapiens weights verify converted/pose recorded.safetensors
"""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from sapiens_lab.commands.completion import complete_model
from sapiens_lab.commands.errors import reported

TOLERANCE = 1e-5  # largest absolute difference that float32 on another machine explains

_Path = click.Path(path_type=Path)
_F = TypeVar("_F", bound=Callable[..., None])
_model = click.argument("model", shell_complete=complete_model)


def _unreleased(command: _F) -> _F:
    """Add the options that only models of unofficial shapes need."""
    for option, help_text in (
        ("--patch-padding", "If not the official value."),
        ("--decoder-heads", "Of a masked autoencoder's decoder."),
        ("--num-heads", "Attention heads of a width that was never released."),
    ):
        command = click.option(option, type=int, help=help_text)(command)
    return command


@click.group()
def weights() -> None:
    """List, fetch, convert, check and publish weights.

    A MODEL is a released name, a file, or the folder of an export.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)


@weights.command("list")
@reported()
def list_released() -> None:
    """Name every released model."""
    from rich.console import Console
    from rich.table import Table

    from sapiens_lab.weights.catalog import list_models

    table = Table("name", "task", "outputs", "GB", "published")
    for release in list_models():
        size = "" if release.gb is None else f"{release.gb:.2f}"
        table.add_row(release.name, release.task, release.outputs or "", size, release.metric or "")
    Console(soft_wrap=True, highlight=False).print(table)
    click.echo("license of all: CC-BY-NC-4.0, for non-commercial use")


@weights.command()
@_model
@reported()
def show(*, model: str) -> None:
    """Say everything that is known of MODEL."""
    from sapiens_lab.weights.catalog import find_release
    from sapiens_lab.weights.files import read_weights

    release = find_release(model)
    if release is not None:
        for name in ("name", "task", "size", "outputs", "patch_padding", "metric", "gb", "license",
                     "file", "page"):  # fmt: skip
            _fact(name, getattr(release, name))
        return
    found = read_weights(model)
    _fact("file", found.path)
    _fact("task", found.task.get("name", "unknown"))
    file = found.file
    _fact("names", file.family if file is not None and file.is_translated else "our own")
    _fact("tensors", len(found.state))
    _fact("parameters", f"{sum(v.numel() for v in found.state.values()):,}")
    _fact("license", found.license or "unknown")


@weights.command()
@_model
@reported()
def download(*, model: str) -> None:
    """Fetch the released MODEL into the hub's cache."""
    from sapiens_lab.weights.catalog import find_release, near_names
    from sapiens_lab.weights.hub import fetch

    release = find_release(model)
    if release is None:
        near = ", ".join(near_names(model)) or "see `sapiens weights list`"
        raise ValueError(f"no released model is called {model!r}; near are: {near}")
    click.echo(str(fetch(release)))


@weights.command()
@_model
@click.argument("folder", type=_Path)
@_unreleased
@reported()
def convert(
    *,
    model: str,
    folder: Path,
    num_heads: int | None,
    decoder_heads: int | None,
    patch_padding: int | None,
) -> None:
    """Write MODEL into the new FOLDER as safetensors + config.json, which need no pickle."""
    from sapiens_lab.weights.families import Hints
    from sapiens_lab.weights.files import CONFIG, read_weights
    from sapiens_lab.weights.model import load_model, save_model

    if (folder / CONFIG).exists():
        raise FileExistsError(f"{folder} already holds a model; name a new folder")
    found = read_weights(model)
    network = load_model(
        found, num_heads=num_heads, decoder_heads=decoder_heads, patch_padding=patch_padding
    )
    description = found.describe(
        Hints(num_heads=num_heads, decoder_heads=decoder_heads, patch_padding=patch_padding)
    )
    made = not folder.exists()
    try:
        save_model(
            network,
            folder,
            task=description.task,
            input=description.input,
            origin=found.origin,
            license=found.license,
        )
    except BaseException:  # Ctrl-C included: what was begun is removed
        if made:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    click.echo(f"{folder}: load it with load_model({str(folder)!r}) or weights={folder}")


@weights.command()
@_model
@click.argument("recorded", type=_Path)
@_unreleased
@reported()
def verify(
    *,
    model: str,
    recorded: Path,
    num_heads: int | None,
    decoder_heads: int | None,
    patch_padding: int | None,
) -> None:
    """Compare outputs of MODEL with RECORDED ones; the status is 1 if they differ.

    RECORDED is a safetensors file with `image` (B, 3, H, W), normalized, and `output`.
    """
    import torch
    from safetensors.torch import load_file

    from sapiens_lab.models.sapiens import Sapiens
    from sapiens_lab.weights.model import load_model

    if not recorded.is_file():
        raise FileNotFoundError(f"there is no file {recorded}")
    tensors = load_file(recorded)
    wanted = next((tensors[n] for n in ("output", "heatmaps") if n in tensors), None)
    if "image" not in tensors or wanted is None:
        raise ValueError(f"{recorded} has {', '.join(tensors)}; it needs `image` and `output`")
    image = tensors["image"]
    network = load_model(
        model,
        num_heads=num_heads,
        decoder_heads=decoder_heads,
        patch_padding=patch_padding,
        image_size=(int(image.shape[-2]), int(image.shape[-1])),
    )
    if not isinstance(network, Sapiens):
        raise ValueError(f"{model} is a masked autoencoder; verify its encoder alone")
    with torch.no_grad():
        output = network.head(network.backbone(image))  # the recorded image is normalized
    if output.shape != wanted.shape:
        raise ValueError(f"the output is {tuple(output.shape)}, recorded was {tuple(wanted.shape)}")
    difference = float((output - wanted).abs().max())
    equal = difference < TOLERANCE
    click.echo(
        f"{'equal' if equal else 'DIFFERENT'}: largest difference {difference:.2e} "
        f"(allowed {TOLERANCE:g}) over {wanted.numel():,} values up to {wanted.abs().max():.3g}"
    )
    if not equal:
        raise SystemExit(1)


@weights.command()
@click.argument("folder", type=_Path)
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--license", help="Where the weights came with none.")
@click.option("--public", is_flag=True, help="Visible to everybody.")
@reported()
def push(*, folder: Path, repo: str, license: str | None, public: bool) -> None:
    """Publish the export in FOLDER on the hub, privately, with a model card."""
    from sapiens_lab.weights.publish import push_to_hub

    click.echo(push_to_hub(folder, repo, private=not public, license=license))


def _fact(name: str, value: object) -> None:
    click.echo(f"{name:>14}: {value}")
