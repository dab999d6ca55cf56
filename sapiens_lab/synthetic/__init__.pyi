from sapiens_lab.synthetic.people.materials import PART_FLIP as PART_FLIP
from sapiens_lab.synthetic.people.materials import PARTS as PARTS
from sapiens_lab.synthetic.people.scene import Scene as Scene
from sapiens_lab.synthetic.people.scene import render_scene as render_scene
from sapiens_lab.synthetic.rendering.camera import Camera as Camera
