"""Run the official Sapiens v1 code on generated weights and images, and write what it gives.

    python tests/parity/make_recordings.py SAPIENS [SHARED]

``SAPIENS`` is a checkout of github.com/facebookresearch/sapiens (recorded at 3e829ac). Beside
torch it needs ``pip install --no-deps mmengine mmcv-lite==2.1.0 addict yapf termcolor scipy
munkres json_tricks einops matplotlib``. Other packages that it imports, but that nothing here
uses, are replaced by empty modules.

``SHARED`` is the folder that holds ``goldens/ap_fuzz``: random people and detections with the
results of the official COCO metrics. Some of these sets are copied; their results depend on
xtcocotools, which this script does not need.
"""

from __future__ import annotations

import gzip
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import json
import sys
import types
from pathlib import Path
from types import SimpleNamespace as Namespace
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.parity import generated  # noqa: E402

FOLDER = Path(__file__).parent / "recordings"
HEIGHT, WIDTH, PRETRAIN = 64, 48, 64
EMBED_DIM, LAYERS, HEADS, CHANNELS = 32, 2, 4, 16
TARGET = (40, 30)  # dense targets have a size of their own
KEYPOINTS, CLASSES = 17, 6
CONFIG = {
    "embed_dim": EMBED_DIM,
    "depth": LAYERS,
    "num_heads": HEADS,
    "patch_size": 16,
    "pretrain_size": PRETRAIN,
    "input_size": [HEIGHT, WIDTH],
    "mae_decoder_dim": 24,
    "mae_decoder_depth": 2,
    "mae_decoder_heads": 4,
    "mask_ratio": 0.75,
    "heatmap_sigma": 2,
    # What the tests generate again instead of reading it: tensor names and shapes of each file.
    "generated": {
        "pose_io": {"image": [1, 3, HEIGHT, WIDTH]},
        "seg_io": {"image": [1, 3, HEIGHT, WIDTH]},
        "depth_io": {"image": [1, 3, HEIGHT, WIDTH]},
        "normal_io": {"image": [1, 3, HEIGHT, WIDTH]},
        "mae_io": {"image": [1, 3, PRETRAIN, PRETRAIN]},
        "encoder_io": {
            "image_square": [2, 3, PRETRAIN, PRETRAIN],
            "image_rect": [1, 3, HEIGHT, WIDTH],
        },
    },
}
# Sets of 17 and of 133 keypoints. In the first two of 133, unmatched people count by part.
AP_SETS = (
    *("17_00", "17_04", "17_08", "17_10", "17_12", "17_18", "17_20", "17_24"),
    *("133_00", "133_02", "133_16"),
)
ABSENT = ("mmcv.ops", "mmcv._ext", "xtcocotools", "pycocotools", "ftfy", "modelindex", "pandas")
ARCH = {
    "embed_dims": EMBED_DIM,
    "num_layers": LAYERS,
    "num_heads": HEADS,
    "feedforward_channels": 4 * EMBED_DIM,
}


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Find empty modules for packages that are imported, but not used here."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.startswith(ABSENT):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = types.ModuleType(spec.name)
        module.__path__ = []  # type: ignore[attr-defined]

        def attribute(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

        module.__getattr__ = attribute  # type: ignore[method-assign]
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Leave it empty."""


def official(path: str) -> Any:
    """Return a class or function of the official code by its import path."""
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


def fill(module: torch.nn.Module, prefix: str) -> dict[str, list[int]]:
    """Give a module its generated weights; return official names and shapes."""
    shapes = {name: list(value.shape) for name, value in module.state_dict().items()}
    state = {name: generated.weight(prefix + name, shape) for name, shape in shapes.items()}
    module.load_state_dict(state)
    module.eval()
    return {prefix + name: shape for name, shape in shapes.items()}


def images(file: str) -> dict[str, Tensor]:
    shapes: Any = CONFIG["generated"]
    return {name: generated.normal(f"{file}.{name}", s) for name, s in shapes[file].items()}


def save(file: str, tensors: dict[str, Tensor]) -> None:
    path = FOLDER / f"{file}.safetensors"
    save_file({k: v.contiguous() for k, v in tensors.items()}, path)
    path.chmod(0o644)


def write_json(file: str, content: Any) -> None:
    (FOLDER / f"{file}.json").write_text(json.dumps(content) + "\n")


def encoder(padding: int) -> Any:
    return official("mmpretrain.models.backbones.VisionTransformer")(
        arch=ARCH,
        img_size=(HEIGHT, WIDTH),
        patch_size=16,
        qkv_bias=True,
        final_norm=True,
        with_cls_token=False,
        out_type="featmap",
        patch_cfg={"padding": padding},
    )


def record_mae() -> dict[str, Tensor]:
    """Record masked pretraining; return the encoder's weights."""
    backbone = official("mmpretrain.models.selfsup.mae.MAEViT")(
        arch=ARCH, img_size=PRETRAIN, patch_size=16, final_norm=True, mask_ratio=0.75
    )
    neck = official("mmpretrain.models.necks.MAEPretrainDecoder")(
        num_patches=(PRETRAIN // 16) ** 2,
        patch_size=16,
        embed_dim=EMBED_DIM,
        decoder_embed_dim=CONFIG["mae_decoder_dim"],
        decoder_depth=CONFIG["mae_decoder_depth"],
        decoder_num_heads=CONFIG["mae_decoder_heads"],
    )
    head = official("mmpretrain.models.heads.MAEPretrainHead")(
        loss={"type": "PixelReconstructionLoss", "criterion": "L2"}, norm_pix=True, patch_size=16
    )
    backbone.init_weights()
    neck.init_weights()
    io = {
        "backbone.pos_embed": backbone.pos_embed.detach().clone(),
        "neck.decoder_pos_embed": neck.decoder_pos_embed.detach().clone(),
    }
    keys = fill(backbone, "backbone.") | fill(neck, "neck.")
    write_json("mae_keys", keys)
    image = images("mae_io")["image"]
    noise, rand = generated.normal("mae_io.noise", (1, (PRETRAIN // 16) ** 2)), torch.rand
    torch.rand = lambda *_, **__: noise  # type: ignore[assignment]
    latent, mask, restore = backbone(image)
    torch.rand = rand
    pred = neck(latent, restore)
    io |= {"noise": noise, "latent": latent, "mask": mask, "ids_restore": restore, "pred": pred}
    io |= {"target": head.construct_target(image), "loss": head.loss(pred, image, mask)[None]}
    save("mae_io", io)
    record_encoder(backbone)
    return dict(backbone.state_dict())


def record_encoder(mae: Any) -> None:
    """Record all tokens at the size of pretraining and at another one."""
    plain = official("mmpretrain.models.backbones.VisionTransformer")(
        arch=ARCH,
        img_size=PRETRAIN,
        patch_size=16,
        final_norm=True,
        with_cls_token=True,
        out_type="raw",
    )
    plain.load_state_dict({k: v for k, v in mae.state_dict().items() if k in plain.state_dict()})
    plain.eval()
    io = {
        name.replace("image", "features"): plain(image)[0]
        for name, image in images("encoder_io").items()
    }
    save("encoder_io", io)


def record_pose(pretrained: dict[str, Tensor]) -> None:
    size = (WIDTH, HEIGHT)
    codec = {"input_size": size, "heatmap_size": (WIDTH // 4, HEIGHT // 4), "sigma": 2}
    udp = official("mmpose.codecs.UDPHeatmap")(**codec)
    backbone = encoder(2)
    head = official("mmpose.models.heads.HeatmapHead")(
        in_channels=EMBED_DIM,
        out_channels=KEYPOINTS,
        deconv_out_channels=(CHANNELS,) * 2,
        deconv_kernel_sizes=(4, 4),
        conv_out_channels=(CHANNELS,) * 2,
        conv_kernel_sizes=(1, 1),
        loss={"type": "KeypointMSELoss", "use_target_weight": True},
    )
    backbone.load_state_dict({k: v.clone() for k, v in pretrained.items()}, strict=False)
    resized = backbone.pos_embed.detach().clone()
    write_json("pose_keys", fill(backbone, "backbone.") | fill(head, "head."))
    image = images("pose_io")["image"]
    flip = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    heatmaps = head(backbone(image))
    flipped = official("mmpose.models.utils.tta.flip_heatmaps")(
        head(backbone(image.flip(-1))), flip_indices=flip, shift_heatmap=False
    )
    points = generated.normal("pose_io.keypoints", (1, KEYPOINTS, 2)).double().numpy()
    points = points * [14, 18] + [WIDTH / 2, HEIGHT / 2]
    visible = (generated.normal("pose_io.visible", (1, KEYPOINTS)).numpy() > -0.8).astype("f4")
    encoded = udp.encode(points, visible)
    target = torch.from_numpy(encoded["heatmaps"])
    weights = torch.from_numpy(encoded["keypoint_weights"])
    losses = "mmpose.models.losses."
    loss = official(losses + "KeypointMSELoss")(use_target_weight=True)
    ohkm = official(losses + "KeypointOHKMMSELoss")(use_target_weight=True, topk=8)
    io = {
        "heatmaps": heatmaps,
        "heatmaps_flip_tta": (heatmaps + flipped) * 0.5,
        "flip_indices": torch.tensor(flip),
        "pos_embed_resized": resized,
        "keypoints": torch.from_numpy(points),
        "visible": torch.from_numpy(visible),
        "target_heatmaps": target,
        "target_weights": weights,
        "loss_mse": loss(heatmaps, target[None], weights)[None],
        "loss_ohkm": ohkm(heatmaps, target[None], weights)[None],
        "ohkm_topk": torch.tensor([8]),
    }
    for name, value in (("target", target), ("pred", heatmaps[0])):
        xy, scores = udp.decode(value.numpy())
        io[f"decoded_{name}"] = torch.from_numpy(xy).float()
        io[f"decoded_{name}_scores"] = torch.from_numpy(scores).float()
    save("pose_io", io)


def dense_head(kind: str, out_channels: int, deconvs: int, convs: int, loss: Any) -> Any:
    return official(f"mmseg.models.decode_heads.{kind}")(
        in_channels=EMBED_DIM,
        channels=CHANNELS,
        num_classes=out_channels,
        out_channels=out_channels,
        deconv_out_channels=(CHANNELS,) * deconvs,
        deconv_kernel_sizes=(4,) * deconvs,
        conv_out_channels=(CHANNELS,) * convs,
        conv_kernel_sizes=(1,) * convs,
        norm_cfg={"type": "BN"},
        align_corners=False,
        loss_decode=loss,
    )


def record_dense(task: str, head: Any, padding: int, target: Tensor, sample: Any) -> dict[str, Any]:
    """Record output, upsampled output and losses, ``target`` being ``(C, H, W)``."""
    backbone = encoder(padding)
    keys = fill(backbone, "backbone.") | fill(head, "decode_head.")
    write_json(f"{task}_keys", keys)
    output = head(backbone(images(f"{task}_io")["image"]))
    resize = official("mmseg.models.utils.resize")
    io = {
        "output": output,
        "upsampled": resize(output, target.shape[-2:], mode="bilinear", align_corners=False),
    }
    losses = head.loss_by_feat(output, [sample])
    return io | {k: v.mean()[None] for k, v in losses.items() if k.startswith("loss")}


def record_segmentation() -> None:
    weights = [0.5, 1.0, 1.5, 2.0, 0.7, 1.2]
    loss = {"type": "CrossEntropyLoss", "reduction": "none", "class_weight": weights}
    head = dense_head("VitHead", CLASSES, 3, 3, loss)
    target = (generated.normal("seg_io.target", (1, *TARGET)).abs() * 3).long()
    target[target >= CLASSES] = 255
    sample = Namespace(gt_sem_seg=Namespace(data=target))
    io = record_dense("seg", head, 0, target, sample)
    save("seg_io", io | {"target": target, "class_weight": torch.tensor(weights)})


def record_depth() -> None:
    head = dense_head("VitDepthHead", 1, 4, 2, {"type": "SiLogLoss", "loss_weight": 1.0})
    target = generated.normal("depth_io.target", (1, *TARGET)).clamp(min=0)  # half is background
    sample = Namespace(gt_depth_map=Namespace(data=target))
    save("depth_io", record_dense("depth", head, 0, target, sample) | {"target": target})


def record_normal() -> None:
    losses = [
        {"type": kind, "reduction": "mean", "loss_weight": 1.0, "eps": -100}
        for kind in ("CosineSimilarityLoss", "L1Loss")
    ]
    head = dense_head("VitNormalHead", 3, 3, 3, losses)
    target = torch.nn.functional.normalize(
        generated.normal("normal_io.target", (3, *TARGET)), dim=0
    )
    target[:, 5:12] = -1000  # background
    sample = Namespace(gt_depth_map=Namespace(data=target))
    save("normal_io", record_dense("normal", head, 2, target, sample) | {"target": target})


def record_codec() -> None:
    """Record 308 keypoints at full size: sums of all heatmaps, a few of them, noisy decodings."""
    udp = official("mmpose.codecs.UDPHeatmap")(
        input_size=(768, 1024), heatmap_size=(192, 256), sigma=6
    )
    points = generated.normal("codec.keypoints", (1, 308, 2)).numpy() * [200, 300] + [384, 512]
    points = points.astype("f4")
    visible = (generated.normal("codec.visible", (1, 308)).numpy() > -1).astype("f4")
    encoded = udp.encode(points, visible)
    heatmaps, weights = encoded["heatmaps"], encoded["keypoint_weights"]
    pick = np.flatnonzero((weights[0] > 0) & (heatmaps.max((1, 2)) > 0.9))[:4]
    noise = generated.normal("codec.noise", (len(pick), 256, 192)).numpy()
    noisy = (heatmaps[pick] + 0.05 * noise).astype("f4")
    decoded, scores = udp.decode(heatmaps)
    noisy_decoded, noisy_scores = udp.decode(noisy)
    # A heatmap is 0 but for the neighborhood of its keypoint, and compresses well.
    np.savez_compressed(
        FOLDER / "codec_308.npz",
        keypoints=points,
        visible=visible,
        pick=pick,
        heatmaps_pick=heatmaps[pick],
        heatmap_sums=heatmaps.sum((1, 2)),
        weights=weights,
        decoded=decoded.astype("f4"),
        scores=scores.astype("f4"),
        noisy_decoded=noisy_decoded.astype("f4"),
        noisy_scores=noisy_scores.astype("f4"),
    )


def record_crops() -> None:
    """Record crops of a generated image: boxes inside, across its border, wide, and rotated."""
    transforms = "mmpose.datasets.transforms."
    center_scale = official(transforms + "GetBBoxCenterScale")(padding=1.25)
    affine = official(transforms + "TopdownAffine")(input_size=(WIDTH, HEIGHT), use_udp=True)
    boxes = [[30, 20, 50, 80], [-10, 5, 60, 40], [90, 60, 70, 60], [40, 10, 100, 30]]
    rotations = [0.0, 20.0, 0.0, -35.0]
    tensors, samples = {}, []
    for i, ((x, y, w, h), rotation) in enumerate(zip(boxes, rotations, strict=True)):
        points = generated.normal(f"crops.{i}", (1, KEYPOINTS, 2)).numpy()
        points = points * [w / 4, h / 4] + [x + w / 2, y + h / 2]
        sample = {
            "img": generated.image_uint8("crops", 120, 160),
            "bbox": np.array([[x, y, x + w, y + h]], "f4"),
            "keypoints": points.astype("f4"),
            "keypoints_visible": np.ones((1, KEYPOINTS), "f4"),
            "bbox_rotation": np.array([rotation], "f4"),
        }
        placed = center_scale.transform(sample)
        center, scale = placed["bbox_center"][0].tolist(), placed["bbox_scale"][0].tolist()
        samples.append({"index": i, "center": center, "scale_before": scale, "rotation": rotation})
        result = affine.transform(placed)
        tensors[f"points_{i}"] = torch.from_numpy(points).float()
        tensors[f"keypoints_{i}"] = torch.from_numpy(result["transformed_keypoints"]).float()
        tensors[f"crop_{i}"] = torch.from_numpy(result["img"])
    save("topdown_crops", tensors)
    write_json("topdown_crops", {"input_size_hw": [HEIGHT, WIDTH], "samples": samples})


def record_iou() -> None:
    metric = official("mmseg.evaluation.metrics.IoUMetric")
    target = (generated.normal("iou.target", (2, *TARGET)).abs() * 3).long().clamp(max=5)
    other = (generated.normal("iou.pred", (2, *TARGET)).abs() * 3).long().clamp(max=5)
    pred = torch.where(generated.normal("iou.right", (2, *TARGET)) > -0.3, target, other)
    target[:, :3] = 255
    areas = [
        metric.intersect_and_union(p, t, CLASSES, 255) for p, t in zip(pred, target, strict=True)
    ]
    totals = [sum(part) for part in zip(*areas, strict=True)]
    result = metric.total_area_to_metrics(*totals, ["mIoU"])
    values = {k: v.tolist() if v.ndim else float(v) for k, v in result.items()}
    values |= {"mIoU": float(np.mean(values["IoU"])), "mAcc": float(np.mean(values["Acc"]))}
    save("segmentation_maps", {"pred": pred.byte(), "target": target.byte()})
    write_json("metrics", {"segmentation": values})


def copy_ap_sets(folder: Path) -> None:
    sets = {name: json.loads((folder / f"{name}.json").read_text()) for name in AP_SETS}
    text = json.dumps(sets, separators=(",", ":")).encode()
    with (FOLDER / "ap.json.gz").open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, 0) as file:
        file.write(text)


def main() -> None:
    sapiens = Path(sys.argv[1])
    sys.path[:0] = [str(sapiens / name) for name in ("pretrain", "seg", "pose")]
    sys.modules["importlib_metadata"] = importlib.metadata  # the same, under its old name
    sys.meta_path.insert(0, Absent())
    FOLDER.mkdir(exist_ok=True)
    importlib.import_module("mmpretrain.models")
    importlib.import_module("mmseg.models")
    importlib.import_module("mmpose.models")
    write_json("config", CONFIG)
    with torch.no_grad():
        record_pose(record_mae())
        record_segmentation()
        record_depth()
        record_normal()
    record_codec()
    record_crops()
    record_iou()
    if len(sys.argv) > 2:
        copy_ap_sets(Path(sys.argv[2]) / "goldens/ap_fuzz")


if __name__ == "__main__":
    main()
