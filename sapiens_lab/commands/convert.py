"""``sapiens convert``: annotations of other tools in the layouts that are trained on.

    sapiens convert FOLDER OUT --split 0.8 --group-by video
    sapiens convert sigmas A.json B.json

``docs/convert.md`` lists the formats. OUT is written whole or not at all.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from sapiens_lab.commands.errors import reported

if TYPE_CHECKING:
    from sapiens_lab.data.conversion.converting import Converted

INTERRUPTED = "stopped; nothing was written"
SAMPLES_FILE = "samples.png"
_NUM_SAMPLES = 16
_FORMATS = (
    "yolo", "cvat", "supervisely", "datumaro", "via", "labelme", "label_studio", "deeplabcut",
    "coco", "label_maps",
)  # fmt: skip
_Path = click.Path(path_type=Path)


class _WithDefault(click.Group):
    """A group whose first argument may also be the source of its one main command."""

    main: click.Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Leave all options to the subcommand."""
        return super().parse_args(ctx, args or ["--help"])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the named subcommand, or the main one with all arguments."""
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return "", self.main, args


@click.group(
    cls=_WithDefault, add_help_option=False, context_settings={"ignore_unknown_options": True}
)
def convert() -> None:
    """Turn annotations of other tools into COCO's JSON or masks."""


class _Main(click.Command):
    """The command of a group that is named as the group is."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the usage line."""
        formatter.write_usage(ctx.command_path.rstrip(), " ".join(self.collect_usage_pieces(ctx)))


@click.command(
    cls=_Main,
    epilog="`sapiens convert sigmas -h` is about sigmas from repeated annotations.",
)
@click.argument("source", type=_Path)
@click.argument("out", type=_Path)
@click.option("--format", "name", type=click.Choice(_FORMATS), help="By default recognized.")
@click.option("--masks", is_flag=True, help="Write PNG masks of the regions, not COCO's JSON.")
@click.option("--split", "fraction", type=float, help="Fraction that trains, e.g. 0.8.")
@click.option("--group-by", help="Keep together: folder, video, or a regular expression.")
@click.option("--seed", default=0, show_default=True, help="Of the split.")
@click.option("--skeleton", help="Names and order of the keypoints: coco17, ..., or a YAML.")
@click.option("--from", "source_skeleton", help="Set that the source's keypoints are of.")
@click.option("--classes", help="Class list of the regions: lip20, ..., or a YAML.")
@click.option("--label", "labels", multiple=True, help="Keep this label; may be repeated.")
@click.option(
    "--images",
    type=click.Choice(("link", "copy", "none")),
    default="link",
    show_default=True,
    help="Hard links, copies, or leave the images where they are.",
)
@reported(interrupted=INTERRUPTED)
def folder(
    *,
    source: Path,
    out: Path,
    name: str | None,
    masks: bool,
    fraction: float | None,
    group_by: str | None,
    seed: int,
    skeleton: str | None,
    source_skeleton: str | None,
    classes: str | None,
    labels: tuple[str, ...],
    images: Literal["link", "copy", "none"],
) -> None:
    """Convert SOURCE, a folder or file of a labeling tool, into the new folder OUT."""
    from sapiens_lab.data.conversion.converting import Options, convert, find_importer

    importer = find_importer(source, name)
    click.echo(f"{source} is {importer.find(source) or importer.title}")
    options = Options(
        masks=masks,
        fraction=fraction,
        group_by=group_by,
        seed=seed,
        skeleton=skeleton,
        source_skeleton=source_skeleton,
        classes=classes,
        labels=labels,
        images=images,
    )
    result = convert(importer, source, out, options)
    _report(result, is_divided=fraction is not None)
    _draw(result, out)
    click.echo("train with:")
    for command in train_commands(result, out, is_masks=masks):
        click.echo(f"  {command}")


convert.main = folder


@convert.command()
@click.argument("files", type=_Path, nargs=-1, required=True)
@click.option("--min-pairs", type=click.IntRange(min=2), default=10, show_default=True,
              help="Fewest pairs of annotations of a keypoint.")  # fmt: skip
@reported()
def sigmas(*, files: tuple[Path, ...], min_pairs: int) -> None:
    """Print the sigmas of keypoints that FILES, COCO's JSON, annotate repeatedly."""
    from sapiens_lab.data.conversion.sigmas import estimate_sigmas, sigmas_yaml

    for line in sigmas_yaml(estimate_sigmas(files, min_pairs=min_pairs)):
        click.echo(line)


def train_commands(result: Converted, out: Path, *, is_masks: bool) -> list[str]:
    """Return the commands that train on what was written: on keypoints, on regions."""
    common = [f"data.root={out}"]
    folders = set(result.image_dirs.values())
    if not any(folder.is_relative_to(result.root) for folder in folders):
        common += [f"data.train.image_dir={folder}" for folder in folders]  # it is one

    def shown(path: str) -> str:
        inside = Path(path).is_relative_to(result.root)
        return str(out / Path(path).relative_to(result.root)) if inside else path

    commands = []
    if result.num_people and result.skeleton:
        commands.append(["experiment=finetune/pose", *common, f"skeleton={shown(result.skeleton)}"])
    if result.num_regions and result.parts:
        words = ["experiment=finetune/segmentation"]
        commands.append([*words, *common, f"parts={shown(result.parts)}"])
    return [shlex.join(["sapiens", "train", *words]) for words in commands]


def _report(result: Converted, *, is_divided: bool) -> None:
    from sapiens_lab.data.checks.finding import first

    counts = ", ".join(f"{name} {len(images)}" for name, images in result.splits.items())
    kinds = {"people with keypoints": result.num_people, "regions": result.num_regions}
    found = ", ".join(f"{what}: {count}" for what, count in kinds.items() if count)
    click.echo(f"wrote {found} to {result.root}; images: {counts}")
    if list(result.splits) == ["all"]:
        click.echo("not divided: training keeps a tenth of the images for validation")
    elif not is_divided:
        click.echo("divided as the source divides them")
    if result.target is not None:
        names = result.target.points.names
        click.echo(f"{len(names)} keypoints: {first(names, 20)}")
        if missing := result.target.missing:
            click.echo(f"{len(missing)} of them are not in the source: {first(missing, 20)}")
    if result.class_ids:
        listed = [f"{value} {label}" for label, value in result.class_ids.items()]
        click.echo(f"classes: {first(listed, 20)}")
    if result.made.boxes:
        click.echo(f"made: {result.made.boxes} boxes, around keypoints or regions")
    if result.made.areas:
        click.echo(f"made: {result.made.areas} areas, 0.53 of the box, for people without a region")
    for line in result.dropped.lines():
        click.echo(f"left out: {line}")


def _draw(result: Converted, out: Path) -> None:
    """Write an image of samples with what was written of them."""
    from sapiens_lab.visualize.annotations import draw_converted
    from sapiens_lab.visualize.image import write_image

    path = out / SAMPLES_FILE
    write_image(path, draw_converted(result, _NUM_SAMPLES))
    click.echo(f"samples with their annotations: {path}")
