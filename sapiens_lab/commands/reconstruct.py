"""``sapiens reconstruct``: one image at five masking ratios, side by side.

    sapiens reconstruct outputs/pretrain/folder/TIME/export photo.jpg --out figure.png

As the figures of the Sapiens paper, a row per ratio: the masked image, the reconstruction with
every patch's own brightness and contrast, and the reconstruction pasted into the gaps.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sapiens_lab.commands.completion import complete_model
from sapiens_lab.commands.errors import reported

if TYPE_CHECKING:
    from sapiens_lab.models.mae import MaskedAutoencoder
    from sapiens_lab.visualize.image import RGBImage

RATIOS = (0.75, 0.8, 0.85, 0.9, 0.95)


@click.command()
@click.argument("model", shell_complete=complete_model)
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("reconstruction.png"),
              show_default=True, help="The file to write.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Seed of the masks.")
@click.option("--num-heads", type=int, help="Attention heads of a width that was never released.")
@click.option("--decoder-heads", type=int, help="Of a decoder other than the official one.")
@reported()
def reconstruct(
    *,
    model: str,
    image: Path,
    out: Path,
    seed: int,
    num_heads: int | None,
    decoder_heads: int | None,
) -> None:
    """Reconstruct IMAGE at five masking ratios.

    MODEL is an export, a checkpoint, or an official file of pretraining.
    """
    from sapiens_lab.data.images import read_image
    from sapiens_lab.models.mae import MaskedAutoencoder
    from sapiens_lab.visualize.image import write_image
    from sapiens_lab.weights.model import load_model

    network = load_model(model, num_heads=num_heads, decoder_heads=decoder_heads)
    if not isinstance(network, MaskedAutoencoder):
        raise ValueError(
            f"{model} has no decoder of pretraining: cleaned and fine-tuned files cannot "
            "reconstruct"
        )
    write_image(out, figure(network, read_image(image), seed=seed))
    click.echo(str(out))


def figure(model: MaskedAutoencoder, pixels: RGBImage, *, seed: int = 0) -> RGBImage:
    """Return the grid of one image ``(H, W, 3)``, its center cropped to the model's size."""
    import numpy as np
    import torch

    from sapiens_lab.data.crops import CenterCrop
    from sapiens_lab.data.datasets.whole_image import make_sample
    from sapiens_lab.data.fields import Image
    from sapiens_lab.data.transforms import Warp
    from sapiens_lab.models.masking import RandomMasking
    from sapiens_lab.tasks import pretrain
    from sapiens_lab.visualize.grid import grid

    size = model.backbone.image_size
    rng = np.random.default_rng(0)  # nothing below draws from it
    sample = CenterCrop(size)(make_sample(Image(pixels=pixels), Path("image"), 0), rng)
    seen = Warp(size, antialias=True, replicate_edge=True)(sample, rng).image.pixels
    image = torch.from_numpy(seen.transpose(2, 0, 1).copy())[None]
    sheet = []
    for ratio in RATIOS:
        torch.manual_seed(seed)
        mask = RandomMasking(ratio)(1, model.backbone.grid, image.device)
        with torch.no_grad():
            answer = pretrain.reconstruct(model(image, mask))[0]
        layers = (answer.masked, answer.reconstructed, answer.pasted)
        sheet.append([seen, *(layer.permute(1, 2, 0).numpy() for layer in layers)])
    return grid(sheet, titles=("image", "visible", "reconstructed", "pasted"))
