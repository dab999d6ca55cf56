"""Sapiens (ECCV 2024): the names, sizes and conventions of its released files.

Widths, layers and outputs are shapes of the tensors. Three facts are not: the number of attention
heads (known for the released widths), the patch padding (known for each task) and, for unusual
grids, the aspect of the image. What was assumed is logged.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.models.heads import DeconvHead, FeatureHead
from sapiens_lab.models.mae import MaskedAutoencoder
from sapiens_lab.models.pos_embed import grid_of_patches
from sapiens_lab.models.sapiens import MEAN, STD, Sapiens
from sapiens_lab.models.spec import PARTIAL, TARGET, Spec, import_path
from sapiens_lab.models.vit import SIZES, ViT
from sapiens_lab.weights.description import Description
from sapiens_lab.weights.families import Hints, Release, State
from sapiens_lab.weights.families.names import KeyTable

log = logging.getLogger(__name__)

# ---- names (sapiens_v1 reference, sections 2.2, 2.3): official -> ours ---------------------------

_BLOCK = {
    "ln1": "norm1",
    "attn.qkv": "attn.qkv",
    "attn.proj": "attn.proj",
    "ln2": "norm2",
    "ffn.layers.0.0": "mlp.fc1",
    "ffn.layers.1": "mlp.fc2",
}
_ENCODER = {
    "cls_token": "cls_token",
    "pos_embed": "pos_embed",
    "patch_embed.projection": "patch_embed",
    **{f"layers.{{i}}.{theirs}": f"layers.{{i}}.{ours}" for theirs, ours in _BLOCK.items()},
    "ln1": "norm",
}
# The same encoder under the names of timm and of facebookresearch/mae.
_TIMM_BLOCK = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
_TIMM_ENCODER = {
    "cls_token": "cls_token",
    "pos_embed": "pos_embed",
    "patch_embed.proj": "patch_embed",
    **{f"blocks.{{i}}.{name}": f"layers.{{i}}.{name}" for name in _TIMM_BLOCK},
    "norm": "norm",
}
# The official heads count normalization and activation, which have no tensors: three per layer.
_HEAD = {"deconv_layers.{3i}": "deconvs.{i}", "conv_layers.{3i}": "convs.{i}"}
_DECODER = {
    "mask_token": "mask_token",
    "decoder_pos_embed": "pos_embed",
    "decoder_embed": "embed",
    **{f"decoder_blocks.{{i}}.{theirs}": f"layers.{{i}}.{ours}" for theirs, ours in _BLOCK.items()},
    "ln1": "norm",
    "decoder_pred": "out",
}
POSE_KEYS = KeyTable({"backbone.": ("backbone.", _ENCODER), "neck.": ("decoder.", _DECODER),
                      "head.": ("head.", _HEAD | {"final_layer": "out"})})  # fmt: skip
DENSE_KEYS = KeyTable({"backbone.": ("backbone.", _ENCODER), "neck.": ("decoder.", _DECODER),
                       "decode_head.": ("head.", _HEAD | {"conv_seg": "out"})})  # fmt: skip
TIMM_KEYS = KeyTable({"backbone.": ("backbone.", _TIMM_ENCODER)})

_DROPPED = ("data_preprocessor.",)  # constants of the exporter

# ---- facts that are not in the tensors -----------------------------------------------------------

# Zeros around the image (sapiens_v1 reference, appendix B). LIP and CIHP models had 2, but none
# was released.
PATCH_PADDING = {"pretrain": 0, "pose": 2, "segmentation": 0, "depth": 0, "normal": 2}
_HEADS_BY_WIDTH = {width.embed_dim: width.num_heads for width in SIZES.values()}
_DECODER_DIM, _DECODER_HEADS = 512, 16
_SKELETONS = {17: "coco17", 133: "wholebody133", 308: "goliath308"}
# The official evaluation (sapiens_v1 reference, section 8.1): people for pose, whole images for the
# others, whose edges are repeated as ``cv2.resize`` does.
_POSE_INPUT = {"crop": "box", "box_padding": 1.25, "replicate_edge": False}
_DENSE_INPUT = {"crop": "whole", "replicate_edge": True}


class SapiensV1:
    """Meta's Sapiens."""

    def recognize(self, state: Mapping[str, Tensor]) -> SapiensV1File | None:
        """Return the file; ``None`` if it holds no such encoder, under whatever names.

        The official names are known, those of timm and facebookresearch/mae for the encoder, and
        our own, for tensors that come without a description.
        """
        if not any(key.startswith("backbone.") for key in state):  # cleaned encoders
            state = {f"backbone.{key}": value for key, value in state.items()}
        is_pose = "head.final_layer.weight" in state
        table = POSE_KEYS if is_pose else DENSE_KEYS
        if "backbone.patch_embed.proj.weight" in state:
            table = TIMM_KEYS
        kept = {key: value for key, value in state.items() if not key.startswith(_DROPPED)}
        ours = {table.to_ours(key) or key: value for key, value in kept.items()}
        if not {"backbone.patch_embed.weight", "backbone.pos_embed"} <= set(ours):
            return None
        return SapiensV1File(state=ours, is_pose=is_pose, is_translated=set(ours) != set(kept))


@dataclass(frozen=True, slots=True, kw_only=True)
class SapiensV1File:
    """A file of Sapiens."""

    family: ClassVar[str] = "sapiens_v1"

    state: State
    is_pose: bool  # its head was named as the pose models name theirs
    is_translated: bool

    def task(self, release: Release | None) -> dict[str, Any]:
        """Return what the model is for, by its release or by its head."""
        name = release.task if release is not None else self._task_name()
        return {"name": name, **_meaning(self.state, name, release)}

    def describe(self, release: Release | None, hints: Hints) -> Description:
        """Read the description of a model off its tensors, a release and what the user says.

        Raises:
            ValueError: a number is not in the tensors and must be given; says which.
        """
        described = self.task(release)
        task = described["name"]
        padding = hints.patch_padding
        if padding is None:
            padding = release.patch_padding if release is not None else PATCH_PADDING[task]
            log.info("patch padding %d, as in the official models for %s", padding, task)
        backbone = _backbone(self.state, padding, hints.num_heads)
        if "decoder.pos_embed" in self.state:
            model = _autoencoder(self.state, backbone, hints.decoder_heads)
        else:
            model = {
                TARGET: import_path(Sapiens),
                "backbone": backbone,
                "head": _head(self.state),
                "mean": list(MEAN),
                "std": list(STD),
            }
        return Description(
            model=model,
            task=described,
            input=_POSE_INPUT if task == "pose" else _DENSE_INPUT,
            origin=None if release is None else release.name,
            license=None if release is None else release.license,
        )

    def _task_name(self) -> str:
        """Tell what the model is for by the name of its head and its number of outputs."""
        out = self.state.get("head.out.weight")
        if out is None:
            return "pretrain"
        if self.is_pose:
            return "pose"
        return {1: "depth", 3: "normal"}.get(int(out.shape[0]), "segmentation")


FAMILY = SapiensV1()


def to_official(state: Mapping[str, Tensor], *, pose: bool) -> State:
    """Return tensors under the official names of a pose checkpoint or of another task's.

    Raises:
        ValueError: a tensor has no official name.
    """
    table = POSE_KEYS if pose else DENSE_KEYS
    named = {table.to_theirs(key): value for key, value in state.items()}
    if None in named:
        unknown = [key for key in state if table.to_theirs(key) is None]
        raise ValueError(f"these tensors have no official name: {', '.join(unknown[:5])}")
    return {str(key): value for key, value in named.items()}


def _meaning(state: State, task: str, release: Release | None) -> dict[str, Any]:
    outputs = release.outputs if release is not None else None
    if task == "pose" and (name := outputs or _SKELETONS.get(_num_outputs(state))):
        skeleton = Skeleton.load(name)
        return {
            "meaning": {"skeleton": list(skeleton.keypoints)},
            "skeleton": name,
            "aliases": {ours: list(others) for ours, others in skeleton.aliases.items()},
            "flip_test": True,  # as the official evaluation and demo
        }
    if task == "segmentation" and outputs is not None:
        return {"meaning": {"parts": list(Parts.load(outputs).classes)}, "parts": outputs}
    return {"meaning": {"depth": "relative"} if task == "depth" else {}}


def _num_outputs(state: State) -> int:
    return int(state["head.out.weight"].shape[0])


def _backbone(state: State, patch_padding: int, num_heads: int | None) -> Spec:
    kernel, table = state["backbone.patch_embed.weight"], state["backbone.pos_embed"]
    embed_dim, patch_size = int(kernel.shape[0]), int(kernel.shape[-1])
    class_token = "backbone.cls_token" in state
    grid = grid_of_patches(int(table.shape[1]) - class_token)
    if grid is None:
        raise ValueError(
            f"a positional embedding of {table.shape[1]} patches is neither square nor 4:3, and "
            "the file does not say its image size; export it with sapiens_lab, which writes it down"
        )
    if num_heads is None and embed_dim not in _HEADS_BY_WIDTH:
        raise ValueError(
            f"the number of attention heads of a width of {embed_dim} is not known (the released "
            f"widths are {', '.join(map(str, _HEADS_BY_WIDTH))}); give num_heads="
        )
    return {
        TARGET: import_path(ViT),
        "image_size": [grid[0] * patch_size, grid[1] * patch_size],
        "embed_dim": embed_dim,
        "num_layers": _num_layers(state, "backbone"),
        "num_heads": num_heads or _HEADS_BY_WIDTH[embed_dim],
        "patch_size": patch_size,
        "patch_padding": patch_padding,
        "class_token": class_token,
        "mlp_ratio": state["backbone.layers.0.mlp.fc1.weight"].shape[0] / embed_dim,
    }


def _head(state: State) -> Spec:
    if "head.out.weight" not in state:
        return {TARGET: import_path(FeatureHead), PARTIAL: True}
    return {
        TARGET: import_path(DeconvHead),
        PARTIAL: True,
        "out_channels": _num_outputs(state),
        "deconv_channels": _widths(state, "head.deconvs", dim=1),
        "conv_channels": _widths(state, "head.convs", dim=0),
    }


def _autoencoder(state: State, backbone: Spec, decoder_heads: int | None) -> Spec:
    dim = int(state["decoder.pos_embed"].shape[-1])
    if decoder_heads is None and dim != _DECODER_DIM:
        raise ValueError(
            f"the attention heads of a decoder of width {dim} are not known (the official one has "
            f"{_DECODER_HEADS} at {_DECODER_DIM}); give decoder_heads="
        )
    return {
        TARGET: import_path(MaskedAutoencoder),
        "backbone": backbone,
        "decoder_dim": dim,
        "decoder_layers": _num_layers(state, "decoder"),
        "decoder_heads": decoder_heads or _DECODER_HEADS,
        "mean": list(MEAN),
        "std": list(STD),
    }


def _num_layers(state: State, prefix: str) -> int:
    pattern = re.compile(rf"{prefix}\.layers\.(\d+)\.")
    return 1 + max((int(m.group(1)) for name in state if (m := pattern.match(name))), default=-1)


def _widths(state: State, prefix: str, *, dim: int) -> Sequence[int]:
    widths: list[int] = []
    while (weight := state.get(f"{prefix}.{len(widths)}.weight")) is not None:
        widths.append(int(weight.shape[dim]))
    return widths
