"""The command ``sapiens-reconstruct``: one image at five masking ratios, side by side.

    sapiens-reconstruct outputs/pretrain/folder/TIME/export photo.jpg --out figure.png

As the figures of the Sapiens paper: a row a ratio; what was shown, the reconstruction with every
patch's own brightness and contrast, and the reconstruction pasted into the gaps.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from sapiens_lab.data.crops import CenterCrop
from sapiens_lab.data.datasets.whole_image import make_sample
from sapiens_lab.data.fields import Image
from sapiens_lab.data.images import read_image
from sapiens_lab.data.transforms import Warp
from sapiens_lab.models.mae import MaskedAutoencoder
from sapiens_lab.models.masking import RandomMasking
from sapiens_lab.tasks.pretrain import reconstruct
from sapiens_lab.visualize.grid import grid
from sapiens_lab.visualize.image import RGBImage, write_image
from sapiens_lab.weights.model import load_model

RATIOS = (0.75, 0.8, 0.85, 0.9, 0.95)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="sapiens-reconstruct", description=__doc__)
    parser.add_argument("model", help="an export, a checkpoint, or an official MAE file")
    parser.add_argument("image", type=Path)
    parser.add_argument("--out", type=Path, default=Path("reconstruction.png"))
    parser.add_argument("--seed", type=int, default=0, help="of the masks")
    parser.add_argument("--num-heads", type=int, help="of widths that were never released")
    parser.add_argument("--decoder-heads", type=int, help="of a decoder other than the official")
    arguments = parser.parse_args(argv)
    console = Console(soft_wrap=True, highlight=False)
    try:
        model = load_model(
            arguments.model,
            num_heads=arguments.num_heads,
            decoder_heads=arguments.decoder_heads,
        )
        if not isinstance(model, MaskedAutoencoder):
            raise ValueError(
                f"{arguments.model} has no decoder of pretraining: cleaned and fine-tuned files "
                "cannot reconstruct"
            )
        image = figure(model, read_image(arguments.image), seed=arguments.seed)
        write_image(arguments.out, image)
    except (ValueError, OSError) as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", markup=False, highlight=False)
        return 1
    console.print(str(arguments.out))
    return 0


@torch.no_grad()
def figure(model: MaskedAutoencoder, pixels: RGBImage, *, seed: int = 0) -> RGBImage:
    """Return the grid of one image ``(H, W, 3)``, its middle cut to the model's size."""
    size = model.backbone.image_size
    rng = np.random.default_rng(0)  # nothing below draws from it
    sample = CenterCrop(size)(make_sample(Image(pixels=pixels), Path("image"), 0), rng)
    seen = Warp(size, antialias=True, replicate_edge=True)(sample, rng).image.pixels
    image = torch.from_numpy(seen.transpose(2, 0, 1).copy())[None]
    sheet = []
    for ratio in RATIOS:
        torch.manual_seed(seed)
        mask = RandomMasking(ratio)(1, model.backbone.grid, image.device)
        answer = reconstruct(model(image, mask))[0]
        layers = (answer.masked, answer.reconstructed, answer.pasted)
        sheet.append([seen, *(layer.permute(1, 2, 0).numpy() for layer in layers)])
    return grid(sheet, titles=("image", "visible", "reconstructed", "pasted"))
