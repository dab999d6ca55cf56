"""What a surface is made of, and which of the 28 Sapiens part classes that means on each side.

A material knows no side: the renderer tells left from right by the sign of the canonical x of a
surface point, so a boundary between left and right never depends on the size of a triangle.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from sapiens_lab.synthetic.rendering.arrays import I64, U8

# The classes of Sapiens' body-part segmentation, in the order of their ids.
PARTS = (
    "Background", "Apparel", "Face_Neck", "Hair", "Left_Foot", "Left_Hand", "Left_Lower_Arm",
    "Left_Lower_Leg", "Left_Shoe", "Left_Sock", "Left_Upper_Arm", "Left_Upper_Leg",
    "Lower_Clothing", "Right_Foot", "Right_Hand", "Right_Lower_Arm", "Right_Lower_Leg",
    "Right_Shoe", "Right_Sock", "Right_Upper_Arm", "Right_Upper_Leg", "Torso", "Upper_Clothing",
    "Lower_Lip", "Upper_Lip", "Lower_Teeth", "Upper_Teeth", "Tongue",
)  # fmt: skip
NUM_PARTS = len(PARTS)


class Material(IntEnum):
    """Surface kinds; the first eight are bare skin by body region."""

    FACE = 0
    TORSO = 1
    UPPER_ARM = 2
    LOWER_ARM = 3
    HAND = 4
    UPPER_LEG = 5
    LOWER_LEG = 6
    FOOT = 7
    UPPER_LIP = 8
    LOWER_LIP = 9
    MOUTH = 10
    UPPER_TEETH = 11
    LOWER_TEETH = 12
    TONGUE = 13
    EYE = 14
    HAIR = 15
    TOP = 16
    BOTTOM = 17
    SHOE = 18
    SOCK = 19
    APPAREL = 20


NUM_REGIONS = 8  # materials that are bare skin
_CLASS = {
    Material.FACE: "Face_Neck",
    Material.TORSO: "Torso",
    Material.UPPER_ARM: "{side}_Upper_Arm",
    Material.LOWER_ARM: "{side}_Lower_Arm",
    Material.HAND: "{side}_Hand",
    Material.UPPER_LEG: "{side}_Upper_Leg",
    Material.LOWER_LEG: "{side}_Lower_Leg",
    Material.FOOT: "{side}_Foot",
    Material.UPPER_LIP: "Upper_Lip",
    Material.LOWER_LIP: "Lower_Lip",
    Material.MOUTH: "Face_Neck",
    Material.UPPER_TEETH: "Upper_Teeth",
    Material.LOWER_TEETH: "Lower_Teeth",
    Material.TONGUE: "Tongue",
    Material.EYE: "Face_Neck",
    Material.HAIR: "Hair",
    Material.TOP: "Upper_Clothing",
    Material.BOTTOM: "Lower_Clothing",
    Material.SHOE: "{side}_Shoe",
    Material.SOCK: "{side}_Sock",
    Material.APPAREL: "Apparel",
}


def _class_table() -> U8:
    rows = [
        [PARTS.index(_CLASS[material].format(side=side)) for material in Material]
        for side in ("Right", "Left")
    ]
    return np.array(rows, np.uint8)


def _flip_table() -> I64:
    def other(name: str) -> str:
        side, _, rest = name.partition("_")
        return {"Left": "Right_", "Right": "Left_"}.get(side, side + "_" if rest else side) + rest

    return np.array([PARTS.index(other(name)) for name in PARTS], np.int64)


PART_OF = _class_table()  # (2, materials) part id; row 1 is the person's left
PART_FLIP = _flip_table()  # (28,) the class that each becomes under a horizontal flip
