"""The command ``sapiens-weights``: what was released, getting it, converting it, checking it.

sapiens-weights list
sapiens-weights convert sapiens-pose-0.3b converted/pose
sapiens-weights verify converted/pose recorded.safetensors
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file

from sapiens_lab.models.mae import MaskedAutoencoder
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.weights.catalog import find_release, list_models, near_names
from sapiens_lab.weights.families import Hints
from sapiens_lab.weights.files import CONFIG, Weights, read_weights
from sapiens_lab.weights.hub import fetch
from sapiens_lab.weights.model import load_model, save_model
from sapiens_lab.weights.publish import push_to_hub

TOLERANCE = 1e-5  # largest absolute difference that float32 on another machine explains


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, or 1 after a mistake or a difference."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace, Console], int] = arguments.run
    try:
        return run(arguments, Console(soft_wrap=True, highlight=False))
    except (ValueError, OSError) as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", markup=False, highlight=False)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sapiens-weights", description="Official weights.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    add("list", _list, "name every released model")
    show = add("show", _show, "say everything that is known of a model or a file")
    show.add_argument("model", help="a released name, a file or an export's folder")
    download = add("download", _download, "fetch a released model into the hub's cache")
    download.add_argument("model", help="a released name")
    convert = add("convert", _convert, "write safetensors + config.json, which need no pickle")
    convert.add_argument("model", help="a released name or a file")
    convert.add_argument("folder", type=Path, help="a new folder")
    verify = add("verify", _verify, "compare a model's outputs with recorded ones")
    verify.add_argument("model", help="a released name, a file or an export's folder")
    verify.add_argument(
        "recorded",
        type=Path,
        help="safetensors with `image` (B, 3, H, W), normalized, and `output`",
    )
    push = add("push", _push, "publish an export on the hub, privately, with a model card")
    push.add_argument("folder", type=Path, help="an export's folder")
    push.add_argument("repo", help="owner/name")
    push.add_argument("--license", help="where the weights came with none")
    push.add_argument("--public", action="store_true", help="visible to everybody")
    for command in (convert, verify):
        command.add_argument("--num-heads", type=int, help="of widths that were never released")
        command.add_argument("--decoder-heads", type=int, help="of a masked autoencoder's decoder")
        command.add_argument("--patch-padding", type=int, help="if not the official value")
    return parser


def _list(arguments: argparse.Namespace, console: Console) -> int:
    table = Table("name", "task", "outputs", "GB", "published")
    for release in list_models():
        size = "" if release.gb is None else f"{release.gb:.2f}"
        table.add_row(release.name, release.task, release.outputs or "", size, release.metric or "")
    console.print(table)
    console.print("license of all: CC-BY-NC-4.0, for non-commercial use")
    return 0


def _show(arguments: argparse.Namespace, console: Console) -> int:
    release = find_release(arguments.model)
    if release is not None:
        for name in ("name", "task", "size", "outputs", "patch_padding", "metric", "gb", "license",
                     "file", "page"):  # fmt: skip
            console.print(f"{name:>14}: {getattr(release, name)}")
        return 0
    weights = read_weights(arguments.model)
    console.print(f"{'file':>14}: {weights.path}")
    console.print(f"{'task':>14}: {weights.task.get('name', 'unknown')}")
    file = weights.file
    names = file.family if file is not None and file.is_translated else "our own"
    console.print(f"{'names':>14}: {names}")
    console.print(f"{'tensors':>14}: {len(weights.state)}")
    console.print(f"{'parameters':>14}: {sum(v.numel() for v in weights.state.values()):,}")
    console.print(f"{'license':>14}: {weights.license or 'unknown'}")
    return 0


def _download(arguments: argparse.Namespace, console: Console) -> int:
    release = find_release(arguments.model)
    if release is None:
        near = ", ".join(near_names(arguments.model)) or "see `sapiens-weights list`"
        raise ValueError(f"no released model is called {arguments.model!r}; near are: {near}")
    console.print(str(fetch(release)))
    return 0


def _convert(arguments: argparse.Namespace, console: Console) -> int:
    folder: Path = arguments.folder
    if (folder / CONFIG).exists():
        raise FileExistsError(f"{folder} already holds a model; name a new folder")
    weights = read_weights(arguments.model)
    model = _load(weights, arguments)
    description = weights.describe(_hints(arguments))
    made = not folder.exists()
    try:
        save_model(
            model,
            folder,
            task=description.task,
            input=description.input,
            origin=weights.origin,
            license=weights.license,
        )
    except BaseException:  # Ctrl-C included: what was begun is removed
        if made:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    console.print(f"{folder}: load it with load_model({str(folder)!r}) or weights={folder}")
    return 0


def _verify(arguments: argparse.Namespace, console: Console) -> int:
    if not arguments.recorded.is_file():
        raise FileNotFoundError(f"there is no file {arguments.recorded}")
    recorded = load_file(arguments.recorded)
    wanted = next((recorded[n] for n in ("output", "heatmaps") if n in recorded), None)
    if "image" not in recorded or wanted is None:
        raise ValueError(
            f"{arguments.recorded} has {', '.join(recorded)}; it needs `image` and `output`"
        )
    image = recorded["image"]
    size = (int(image.shape[-2]), int(image.shape[-1]))
    model = _load(read_weights(arguments.model), arguments, image_size=size)
    if not isinstance(model, Sapiens):
        raise ValueError(f"{arguments.model} is a masked autoencoder; verify its encoder alone")
    with torch.no_grad():
        output = model.head(model.backbone(image))
    if output.shape != wanted.shape:
        raise ValueError(f"the output is {tuple(output.shape)}, recorded was {tuple(wanted.shape)}")
    difference = float((output - wanted).abs().max())
    equal = difference < TOLERANCE
    console.print(
        f"{'equal' if equal else 'DIFFERENT'}: largest difference {difference:.2e} "
        f"(allowed {TOLERANCE:g}) over {wanted.numel():,} values up to {wanted.abs().max():.3g}"
    )
    return 0 if equal else 1


def _push(arguments: argparse.Namespace, console: Console) -> int:
    page = push_to_hub(
        arguments.folder,
        arguments.repo,
        private=not arguments.public,
        license=arguments.license,
    )
    console.print(page)
    return 0


def _load(
    weights: Weights, arguments: argparse.Namespace, image_size: tuple[int, int] | None = None
) -> Sapiens | MaskedAutoencoder:
    return load_model(
        weights,
        num_heads=arguments.num_heads,
        decoder_heads=arguments.decoder_heads,
        patch_padding=arguments.patch_padding,
        image_size=image_size,
    )


def _hints(arguments: argparse.Namespace) -> Hints:
    return Hints(
        num_heads=arguments.num_heads,
        decoder_heads=arguments.decoder_heads,
        patch_padding=arguments.patch_padding,
    )
