"""Tests of the memory estimate."""

from __future__ import annotations

from functools import partial

import pytest

from sapiens_lab.models.heads import DeconvHead, MultiHead
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.vit import vit
from sapiens_lab.training.memory import activations

SIZE = (64, 48)


def estimate(head: object) -> float:
    return activations(Sapiens(backbone=vit("tiny", image_size=SIZE), head=head), SIZE)  # type: ignore[arg-type]


def test_heads_side_by_side_need_the_sum_of_what_each_needs() -> None:
    """Every head begins at the encoder's resolution, not where the one before it ended."""
    head = partial(DeconvHead, out_channels=4, deconv_channels=[16, 16], conv_channels=[16])
    encoder = estimate(partial(DeconvHead, out_channels=1, deconv_channels=[], conv_channels=[]))
    encoder -= 3 * (4 * 3)  # the 4 x 3 tokens of one output channel
    one = estimate(head) - encoder
    four = estimate(partial(MultiHead, heads=dict.fromkeys("abcd", head))) - encoder
    assert four == pytest.approx(4 * one)
