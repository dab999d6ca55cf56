"""How the maps of a view are stored: PNG and NPY, at choice.

NPY needs no decoding and loses least; 16-bit PNG takes a third of the space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sapiens_lab.synthetic.files.pixels import millimeters, npy, png
from sapiens_lab.synthetic.rendering.camera import Camera
from sapiens_lab.synthetic.rendering.view import View

CONVENTIONS = {
    "pixels": "integer coordinates are pixel centers, x right, y down; sizes are [height, width]",
    "frame": "camera frame of OpenCV: x right, y down, z away from the viewer; meters",
    "camera": "pixel ~ K (R x_world + t), K = [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]; world y is up",
    "images": "8-bit RGB PNG",
    "masks": "8-bit PNG, 255 on the person and 0 elsewhere",
    "labels": "8-bit PNG of class ids, see parts",
    "depths npy": "meters along z, 0 outside the mask",
    "depths png16": "16-bit PNG, millimeters along z, 0 outside the mask",
    "normals npy": "float16 (H, W, 3) unit vectors x, y, z; a surface that faces the camera has "
    "negative z; 0 outside the mask",
    "normals png16": "16-bit RGB PNG, round(65535 (n + 1) / 2); 0 encoded (32768) outside the mask",
    "left and right": "the person's own",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormats:
    """How maps are stored.

    ``depth_dtype`` counts for npy only; float16 steps by 2 mm at 2 to 4 m.
    """

    depth: Literal["npy", "png16"] = "npy"
    depth_dtype: Literal["float32", "float16"] = "float32"
    normal: Literal["npy", "png16"] = "npy"

    def settings(self) -> dict[str, str]:
        """Return what decides how the files look."""
        depth = f"{self.depth} {self.depth_dtype}" if self.depth == "npy" else self.depth
        return {"depth_format": depth, "normal_format": self.normal}

    def suffixes(self, *, labeled: bool) -> dict[str, str]:
        """Return the suffix of the files in each folder."""
        suffix = {"npy": ".npy", "png16": ".png"}
        labels = {"labels": ".png"} if labeled else {}
        maps = {"depths": suffix[self.depth], "normals": suffix[self.normal]}
        return {"images": ".png", "masks": ".png", **labels, **maps}

    def bytes_per_scene(self, image_size: tuple[int, int]) -> float:
        """Estimate the disk space [bytes] of a scene, too high rather than too low.

        Measured for PNG, largest of 12 scenes at 256x192: image 2.2 bytes per pixel, 16-bit depth
        0.3, normals 2.5, mask and labels 0.1; each of the files rounds up to a block of 4 kB.
        """
        depth = 0.3 if self.depth == "png16" else np.dtype(self.depth_dtype).itemsize
        normal = 2.5 if self.normal == "png16" else 6
        return 6 * 4096 + 8e3 + (2.3 + depth + normal) * image_size[0] * image_size[1]


def encode(view: View, formats: FileFormats) -> dict[str, bytes]:
    """Return the files of a view's maps by folder."""
    files = {"images": png(view.rgb), "masks": png(view.mask.astype(np.uint8) * 255)}
    if view.labels is not None:
        files["labels"] = png(view.labels)
    if formats.depth == "npy":
        files["depths"] = npy(view.depth.astype(formats.depth_dtype))
    else:
        files["depths"] = png(millimeters(view.depth))
    if formats.normal == "npy":
        files["normals"] = npy(view.normal.astype(np.float16))
    else:
        levels = np.rint((view.normal + 1) * np.float32(32767.5))
        files["normals"] = png(np.clip(levels, 0, 65535).astype(np.uint16))
    return files


def describe_camera(camera: Camera) -> dict[str, Any]:
    """Return a camera as the JSON files hold it."""
    K = camera.K
    return {
        "height": camera.size[0],
        "width": camera.size[1],
        "focal_px": [K[0, 0], K[1, 1]],
        "principal_point_px": [K[0, 2], K[1, 2]],
        "R": camera.R.tolist(),
        "t": camera.t.tolist(),
    }
