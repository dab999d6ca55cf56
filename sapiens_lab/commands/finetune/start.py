"""What a run starts from: weights, the encoder that they need, the size of its images, its head."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.commands.finetune.device import Device, find_device
from sapiens_lab.commands.finetune.rendered import Rendered, find_rendered
from sapiens_lab.commands.finetune.request import Decision, Request, word

_VIT = "sapiens_lab.models.vit.ViT"
_TIMM = "sapiens_lab.models.timm_encoder.TimmEncoder"
_HEAD = "sapiens_lab.models.heads.DeconvHead"
_SMALL_SIZE, _MEDIUM_SIZE, _FULL_SIZE = (256, 192), (512, 384), (1024, 768)
_LARGE = "sapiens_"  # encoders whose names begin so are not for a CPU
_BETTER = "good results need weights=sapiens-pretrain-0.3b"
_HEAD_WIDTHS = {"tiny": 64, "light": 64, "small": 128}  # others have the official ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What is known of the weights."""

    source: str | None  # what ``weights=`` gets; None: random
    why: str
    model: Mapping[str, Any] | None = None  # its spec
    task: Mapping[str, Any] | None = None


def choose_start(request: Request) -> list[Decision]:
    """Decide weights, encoder, image size and head.

    Raises:
        FileNotFoundError: the weights that the user names do not exist.
        ValueError: their encoder cannot be chosen by name.
    """
    start = _weights(request)
    device = find_device(request)
    backbone, words = _backbone(request, start, device)
    size, why = _image_size(request, start, device, backbone)
    head = _head(request, start, backbone)
    decided = [word("weights", start.source), *words, *head]
    if request.is_open("image_size"):
        decided.append(word("image_size", list(size)))
    if start.source is not None and (shared := _shared(request, start)):
        decided.append("head_init=by_name")
        why = f"{why}; {shared}"
    text = f"backbone={backbone} at {size[0]}x{size[1]}: {why}"
    return [
        Decision(title="weights", text=start.why, words=tuple(decided)),
        Decision(title="network", text=text),
    ]


# ---- weights -------------------------------------------------------------------------------------


def _weights(request: Request) -> Start:
    if request.is_overfit:
        return Start(
            source=None, why="random, as debug=overfit trains a small network from nothing"
        )
    given = request.value("weights")
    if not request.is_open("weights"):
        if given is None:
            return Start(source=None, why="random, as you say")
        model, task = _described(str(given))
        return Start(source=str(given), why=f"{given}, as you say", model=model, task=task)
    found = find_rendered(Path(str(request.value("output_root"))), request.task)
    if found is None:
        return Start(source=None, why=_why_random(request))
    return Start(
        source=str(found.path), why=_why_rendered(found), model=found.model, task=found.task
    )


def _why_random(request: Request) -> str:
    return (
        f"random: no run on rendered people is below {request.value('output_root')}/ (`python "
        f"train.py experiment={request.task}/synthetic` makes one); {_BETTER}"
    )


def _why_rendered(found: Rendered) -> str:
    return f"{found.path}, of rendered people ({found.origin}), rather than random; {_BETTER}"


def _described(source: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return what weights say of their model and task; a released name is not downloaded."""
    from sapiens_lab.weights.catalog import find_release
    from sapiens_lab.weights.description import Description
    from sapiens_lab.weights.files import CONFIG, read_weights

    release = find_release(source)
    if release is not None and not Path(source).exists():
        backbone = {"size": f"{_LARGE}{release.size}", "patch_padding": release.patch_padding}
        size = _FULL_SIZE
        outputs = release.outputs
        task = {"name": release.task, "outputs": outputs}
        return {"backbone": {**backbone, "image_size": size}}, task
    config = Path(source) / CONFIG
    found = Description.from_json(config) if config.is_file() else read_weights(source).describe()
    if found is None or found.model is None:
        raise ValueError(f"weights={source} do not say how their model is built; add backbone=NAME")
    return found.model, found.task


# ---- the network ---------------------------------------------------------------------------------


def _backbone(request: Request, start: Start, device: Device) -> tuple[str, list[str]]:
    """Return the name of the encoder, and the overrides that choose it."""
    chosen = str(request.choices["backbone"])
    if not request.is_free("backbone", "tiny") or request.is_overfit:
        return chosen, []
    if start.model is None:
        name = "small" if device.is_gpu else "tiny"
        return name, [f"backbone={name}"]
    spec = start.model["backbone"]
    if (found := _size_of(spec)) is None:
        raise ValueError(
            f"weights={start.source} are for an encoder {spec.get('_target_')} that no option of "
            "backbone= builds; choose one with backbone= and its values"
        )
    words = [f"backbone={found}"]
    if found == "timm":
        words.append(word("backbone.name", spec["name"]))
    elif spec.get("patch_padding"):
        words.append(word("backbone.patch_padding", spec["patch_padding"]))
    return found, words


def _size_of(spec: Mapping[str, Any]) -> str | None:
    """Return the option of ``backbone=`` that builds an encoder."""
    from sapiens_lab.models.vit import SIZES

    if "size" in spec:
        return str(spec["size"]) if spec["size"] in SIZES else None
    if spec.get("_target_") == _TIMM:
        return "timm"
    if spec.get("_target_") != _VIT or spec.get("patch_size", 16) != 16:
        return None
    numbers = (spec.get("embed_dim"), spec.get("num_layers"), spec.get("num_heads"))
    return next((name for name, width in SIZES.items() if tuple(width) == numbers), None)


def _image_size(
    request: Request, start: Start, device: Device, backbone: str
) -> tuple[tuple[int, int], str]:
    """Return (height, width) of the images, and why."""
    if not request.is_open("image_size"):
        height, width = request.value("image_size")
        return (int(height), int(width)), "the size is as you say"
    if start.model is None:
        if device.is_gpu:
            return _MEDIUM_SIZE, "random weights; image_size=[256,192] is cheaper"
        return _SMALL_SIZE, "small, as there is no GPU"
    height, width = (int(n) for n in start.model["backbone"]["image_size"])
    wanted = (height, width) if height != width else _FULL_SIZE  # pretraining is on squares
    if not backbone.startswith(_LARGE):
        return wanted, "as the weights are"
    if not device.is_gpu:
        return _SMALL_SIZE, f"as the weights are, but smaller than {wanted[0]}x{wanted[1]}: no GPU"
    if device.free_gib < 40:
        text = (
            f"{device.free_gib:.0f} GiB of GPU memory; image_size={[*wanted]} is the weights' own"
        )
        return _MEDIUM_SIZE, text.replace(", ", ",")
    return wanted, "as the weights are; image_size=[512,384] costs a quarter"


def _head(request: Request, start: Start, backbone: str) -> list[str]:
    """Return the overrides of the head: as the weights have it, or small for a small encoder."""
    if request.is_overfit or any(request.is_typed(key) for key in ("head", "head_width")):
        return []
    head = (start.model or {}).get("head") or {}
    same_task = (start.task or {}).get("name") == request.task
    if same_task and head.get("_target_") == _HEAD:
        widths = {key: list(head[key]) for key in ("deconv_channels", "conv_channels")}
        words = [word(f"head.{key}", value) for key, value in widths.items()]
        return [*words, *_dropout(request, backbone)]
    if (width := _HEAD_WIDTHS.get(backbone)) is None:
        return []
    words = [word("head_width", width)]
    if request.task != "pose":  # a quarter of the official resolution
        words += [word("head.deconv_channels", [width, width]), word("head.conv_channels", [width])]
    return [*words, *_dropout(request, backbone)]


def _dropout(request: Request, backbone: str) -> list[str]:
    """Switch dropout off where the network is small."""
    return ["head.dropout=0"] if request.task != "pose" and backbone in _HEAD_WIDTHS else []


def _shared(request: Request, start: Start) -> str:
    """Say which outputs of the weights are shared by name; empty where names decide nothing."""
    from sapiens_lab.weights.description import output_names

    task = start.task or {}
    if task.get("name") != request.task or request.is_typed("head_init"):
        return ""
    theirs = output_names(task) or _released_outputs(task.get("outputs"))
    ours = _outputs(request)
    shared = [name for name in ours if name in (theirs or ())]
    if not shared or ours == theirs:
        return ""
    return f"{len(shared)} of {len(ours)} outputs begin as the weights' of the same names"


def _outputs(request: Request) -> list[str]:
    if request.task == "pose":
        return list(Skeleton.load(str(request.value("skeleton"))).keypoints)
    if request.task == "segmentation":
        return list(Parts.load(str(request.value("parts"))).classes)
    return []


def _released_outputs(name: str | None) -> list[str] | None:
    """Return the names of a released model's outputs, which its skeleton or class list has."""
    if name is None:
        return None
    with contextlib.suppress(FileNotFoundError):
        return list(Skeleton.load(name).keypoints)
    return list(Parts.load(name).classes)
