"""Color the foreground: albedo by material, then diffuse, ambient and glossy light."""

from __future__ import annotations

import numpy as np

from sapiens_lab.synthetic.people.appearance import Appearance
from sapiens_lab.synthetic.people.landmarks import (
    BROW_HALF_LENGTH,
    BROW_HALF_WIDTH,
    IRIS_RADIUS,
    PUPIL_RADIUS,
    brow_height,
)
from sapiens_lab.synthetic.people.materials import NUM_REGIONS, Material
from sapiens_lab.synthetic.people.regions import load_regions
from sapiens_lab.synthetic.people.surface import Surface
from sapiens_lab.synthetic.rendering.arrays import F32, dot, product, unit
from sapiens_lab.synthetic.rendering.camera import Camera
from sapiens_lab.synthetic.rendering.lighting import Light, ShadowMap, brightness, toward_light

_LIP_RED = np.array([0.65, 0.12, 0.14], np.float32)
_EYE_WHITE, _PUPIL = 0.88, 0.03
_CROWN_Z, _HEAD_RADIUS = 0.035, 0.09  # [m] canonical
_SOLE_Y = -0.80  # [m] canonical: below it a shoe shows its sole
# Glossiness: strength and exponent by material; the rest is nearly matte.
_GLOSS = {
    Material.EYE: (0.8, 120),
    Material.HAIR: (0.15, 25),
    Material.SHOE: (0.25, 18),
    Material.UPPER_TEETH: (0.3, 30),
    Material.LOWER_TEETH: (0.3, 30),
}
_SKIN_GLOSS, _MATTE = (0.10, 18), (0.02, 18)


def shade(
    surface: Surface,
    appearance: Appearance,
    light: Light,
    shadows: ShadowMap | None,
    camera: Camera,
) -> F32:
    """Return linear colors ``(P, 3)`` of the foreground pixels."""
    normal = surface.normal
    lit: F32 | float = 1.0
    if shadows is not None:
        world = product(surface.position - camera.t, camera.R)
        world += product(normal, camera.R) * np.float32(0.012)
        lit = light.shade + (1 - light.shade) * shadows.lit(world)
    gloss, exponent = _gloss_tables()
    half = unit(toward_light(light, camera) - unit(surface.position))
    facing = np.clip(dot(normal, half), 1e-4, 1)
    glint = gloss[surface.material] * facing ** exponent[surface.material] * lit
    received = brightness(normal, light, camera, lit)[:, None] * light.tint
    color = albedo(surface, appearance) * received + glint[:, None]
    return np.asarray(np.clip(color, 0, 1.2).astype(np.float32))


def albedo(surface: Surface, appearance: Appearance) -> F32:
    """Return the surface's colors without light ``(P, 3)``."""
    material, canonical = surface.material, surface.canonical
    color = _flat_colors(appearance)[material]
    for kind, cloth in ((Material.TOP, appearance.top), (Material.BOTTOM, appearance.bottom)):
        pixels = np.flatnonzero(material == kind)
        if len(pixels):
            color[pixels] = cloth.paint(canonical[pixels])
    grain = np.where(material == Material.HAIR, 0.2, 0.04).astype(np.float32)
    color *= (1 + grain * surface.tone)[:, None]
    _comb(color, surface, appearance)
    _paint_face(color, surface, appearance)
    _paint_eyes(color, surface, appearance)
    sole = np.flatnonzero((material == Material.SHOE) & (canonical[:, 1] < _SOLE_Y))
    color[sole] = np.clip(1 - appearance.shoe, 0.05, 0.9)
    return color


def _flat_colors(appearance: Appearance) -> F32:
    """Return one color for each material, ``(materials, 3)``."""
    table = np.tile(appearance.skin, (len(Material), 1))
    lip = appearance.skin * (1 - appearance.lip) + _LIP_RED * appearance.lip
    table[Material.UPPER_LIP] = table[Material.LOWER_LIP] = lip
    table[Material.MOUTH] = (0.30, 0.07, 0.07)
    table[Material.TONGUE] = (0.62, 0.22, 0.22)
    table[Material.UPPER_TEETH] = table[Material.LOWER_TEETH] = (0.88, 0.86, 0.78)
    table[Material.EYE] = _EYE_WHITE
    table[Material.HAIR] = appearance.hair
    table[Material.SHOE], table[Material.SOCK] = appearance.shoe, appearance.sock
    table[Material.APPAREL] = appearance.apparel
    return table.astype(np.float32)


def _comb(color: F32, surface: Surface, appearance: Appearance) -> None:
    """Draw strands of hair that run down from the crown of the head."""
    pixels = np.flatnonzero(surface.material == Material.HAIR)
    x, y, z = surface.canonical[pixels].T
    behind = z - _CROWN_Z
    radius = np.hypot(x, behind)
    angle = np.arctan2(x, -behind) + 1.5 * (y - 0.9)  # a slight twist
    strands = appearance.strands(angle[:, None], smallest=surface.pixel / _HEAD_RADIUS)
    color[pixels] *= (1 + 0.45 * strands * np.clip(radius / 0.04, 0, 1))[:, None]


def _paint_face(color: F32, surface: Surface, appearance: Appearance) -> None:
    """Draw brows and beard, with soft edges."""
    pixels = np.flatnonzero((surface.material == Material.FACE) & (surface.canonical[:, 2] > 0.02))
    x, y = np.abs(surface.canonical[pixels, 0]), surface.canonical[pixels, 1]
    eye = load_regions().eye
    along, across = (x - eye[0]) / BROW_HALF_LENGTH, (y - brow_height(x, eye)) / BROW_HALF_WIDTH
    brow = np.clip(1.6 * (1.15 - np.hypot(along, across)), 0, 1) * appearance.brow
    brow[surface.canonical[pixels, 2] < 0.08] = 0
    beard = np.zeros_like(brow)
    if appearance.beard > 0:
        cheek = 0.790 + 0.30 * np.clip(x - 0.028, 0, 0.06)  # the border rises to the ears
        beard = np.clip((cheek - y) / 0.012, 0, 1) * np.clip((y - 0.735) / 0.012, 0, 1)
        mustache = np.clip(1.5 - np.hypot(x / 0.026, (y - 0.804) / 0.007), 0, 1)
        beard = 0.75 * appearance.beard * np.maximum(beard, mustache)
    weight = np.maximum(brow, beard)[:, None].astype(np.float32)
    color[pixels] = color[pixels] * (1 - weight) + 0.8 * appearance.hair * weight


def _paint_eyes(color: F32, surface: Surface, appearance: Appearance) -> None:
    """Draw iris and pupil; the back of the eyeball is dark."""
    pixels = np.flatnonzero(surface.material == Material.EYE)
    x, y, z = surface.canonical[pixels].T
    eye = load_regions().eye
    radius = np.hypot(np.abs(x) - eye[0], y - eye[1])[:, None]
    iris = np.where(radius < PUPIL_RADIUS, _PUPIL, appearance.eye)
    color_of_eye = np.where(radius < IRIS_RADIUS, iris, _EYE_WHITE)
    color[pixels] = color_of_eye * np.where(z > 0.12, 1.0, 0.1)[:, None]


def _gloss_tables() -> tuple[F32, F32]:
    rows = [_GLOSS.get(m, _SKIN_GLOSS if m < NUM_REGIONS else _MATTE) for m in Material]
    strength, exponent = zip(*rows, strict=True)
    return np.array(strength, np.float32), np.array(exponent, np.float32)
