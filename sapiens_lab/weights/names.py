"""The official name of every tensor, and ours, both ways (sapiens_v1 reference, sections 2.2, 2.3).

``{i}`` is a number that both names share; ``{3i}`` is three times ours, since the official heads
count normalization and activation, which have no tensors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Official -> ours, below the prefix `backbone.`
BACKBONE = {
    "cls_token": "cls_token",
    "pos_embed": "pos_embed",
    "patch_embed.projection": "patch_embed",
    "layers.{i}.ln1": "layers.{i}.norm1",
    "layers.{i}.attn.qkv": "layers.{i}.attn.qkv",
    "layers.{i}.attn.proj": "layers.{i}.attn.proj",
    "layers.{i}.ln2": "layers.{i}.norm2",
    "layers.{i}.ffn.layers.0.0": "layers.{i}.mlp.fc1",
    "layers.{i}.ffn.layers.1": "layers.{i}.mlp.fc2",
    "ln1": "norm",
}
# Official -> ours, below `head.` (pose) or `decode_head.` (segmentation, depth, normal)
HEAD = {
    "deconv_layers.{3i}": "deconvs.{i}",
    "conv_layers.{3i}": "convs.{i}",
    "final_layer": "out",  # pose
    "conv_seg": "out",  # the others
}
# Official -> ours, below `neck.`: the decoder of pretraining
MAE_DECODER = {
    "mask_token": "mask_token",
    "decoder_pos_embed": "pos_embed",
    "decoder_embed": "embed",
    "decoder_blocks.{i}.ln1": "layers.{i}.norm1",
    "decoder_blocks.{i}.attn.qkv": "layers.{i}.attn.qkv",
    "decoder_blocks.{i}.attn.proj": "layers.{i}.attn.proj",
    "decoder_blocks.{i}.ln2": "layers.{i}.norm2",
    "decoder_blocks.{i}.ffn.layers.0.0": "layers.{i}.mlp.fc1",
    "decoder_blocks.{i}.ffn.layers.1": "layers.{i}.mlp.fc2",
    "ln1": "norm",
    "decoder_pred": "out",
}
POSE_HEAD, DENSE_HEAD = "head.", "decode_head."


def to_ours(key: str) -> str | None:
    """Translate an official key, e.g. ``backbone.ln1.weight``; ``None`` if it is not one."""
    for prefix, table, ours in (
        ("backbone.", BACKBONE, "backbone."),
        (POSE_HEAD, HEAD, "head."),
        (DENSE_HEAD, HEAD, "head."),
        ("neck.", MAE_DECODER, "decoder."),
    ):
        if key.startswith(prefix):
            found = _translate(key.removeprefix(prefix), table.items())
            return None if found is None else ours + found
    return None


def to_official(key: str, *, pose: bool) -> str | None:
    """Translate our key into that of a pose checkpoint or of another task's."""
    if key.startswith("backbone."):
        found = _translate(key.removeprefix("backbone."), _reversed(BACKBONE))
        return None if found is None else f"backbone.{found}"
    if key.startswith("decoder."):
        found = _translate(key.removeprefix("decoder."), _reversed(MAE_DECODER))
        return None if found is None else f"neck.{found}"
    if key.startswith("head."):
        last = "conv_seg" if pose else "final_layer"
        table = {theirs: ours for theirs, ours in HEAD.items() if theirs != last}
        found = _translate(key.removeprefix("head."), _reversed(table))
        return None if found is None else (POSE_HEAD if pose else DENSE_HEAD) + found
    return None


def _reversed(table: dict[str, str]) -> Iterable[tuple[str, str]]:
    return ((ours, theirs) for theirs, ours in table.items())


def _translate(key: str, table: Iterable[tuple[str, str]]) -> str | None:
    for source, target in table:
        pattern = re.escape(source).replace(r"\{i\}", r"(\d+)").replace(r"\{3i\}", r"(\d+)")
        match = re.fullmatch(rf"{pattern}(|\.weight|\.bias)", key)
        if match is None:
            continue
        *numbers, ending = match.groups()
        if numbers:
            number = int(numbers[0]) // 3 if "{3i}" in source else int(numbers[0])
            target = target.replace("{3i}", str(3 * number)).replace("{i}", str(number))
        return target + ending
    return None
