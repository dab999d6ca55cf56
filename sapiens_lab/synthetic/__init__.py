"""Rendered people: a dataset without a download, with every annotation from one scene."""

from sapiens_lab.synthetic.people.materials import PART_FLIP, PARTS
from sapiens_lab.synthetic.people.scene import Scene, render_scene
from sapiens_lab.synthetic.rendering.camera import Camera

__all__ = ["Camera", "PARTS", "PART_FLIP", "Scene", "render_scene"]
