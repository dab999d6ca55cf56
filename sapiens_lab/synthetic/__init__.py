"""Rendered people: a dataset without a download, with every annotation from one scene."""

from sapiens_lab.synthetic.camera import Camera
from sapiens_lab.synthetic.materials import PART_FLIP, PARTS
from sapiens_lab.synthetic.scene import Scene, render_scene

__all__ = ["Camera", "PARTS", "PART_FLIP", "Scene", "render_scene"]
