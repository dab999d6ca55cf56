"""One dressed person in a pose: everything about a scene that does not depend on the camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from sapiens_lab.synthetic.people import garments, hair, outfit
from sapiens_lab.synthetic.people.appearance import Appearance, sample_appearance
from sapiens_lab.synthetic.people.body import MESHES, NUM_VERTICES, Body, Posed, load_body
from sapiens_lab.synthetic.people.collisions import resolve
from sapiens_lab.synthetic.people.expressions import sample_expression
from sapiens_lab.synthetic.people.landmarks import load_landmarks
from sapiens_lab.synthetic.people.materials import Material
from sapiens_lab.synthetic.people.poses import PoseKind, rotations, sample_pose
from sapiens_lab.synthetic.people.regions import Regions, load_regions
from sapiens_lab.synthetic.rendering.arrays import F32, U8, Rng
from sapiens_lab.synthetic.rendering.mesh import Mesh, Piece, join
from sapiens_lab.synthetic.rendering.noise import SineNoise
from sapiens_lab.synthetic.rendering.orbit import Framing
from sapiens_lab.synthetic.rendering.streams import Streams

_SKIN = slice(0, MESHES["tights"].start)  # body, tongue, eyes and teeth
_SKIN_MESHES = ("body", "left_eye", "right_eye", "tongue", "upper_teeth", "lower_teeth")
_HEIGHTS = (1.25, 2.05)  # [m] sampled bodies outside are implausible
_UNDER = 0.012  # [m] skin goes on this far under a garment's edge ...
_SHRINK = 0.007  # [m] ... and is pressed in there, so that it does not show through


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paint:
    """A material on the skin where a field is positive."""

    field: F32  # (skin vertices,)
    material: Material


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Person:
    """A posed, dressed body in the world frame; its skin is the first piece of the mesh."""

    mesh: Mesh
    paints: tuple[Paint, ...]  # later ones cover earlier ones
    landmarks: F32  # (N, 3) world [m], in the order of load_landmarks()
    appearance: Appearance
    pose: PoseKind
    gender: str
    age: float  # 1/3 child .. 2/3 young .. 1 old
    height: float  # [m] of the body at rest
    head: F32  # (3,) center of the head, world
    hips_y: float  # [m] world


def build_person(streams: Streams, framing: Framing) -> Person:
    """Draw a person."""
    # The streams keep their names: another name would draw another person.
    body, regions = load_body(), load_regions()
    shape, traits = _identity(streams.get("identity"), body)
    female = bool(traits[0] > 0.5)
    pose_rng = streams.get("pose")
    pose = resolve(pose_rng, body, shape, sample_pose(pose_rng))
    expression = sample_expression(streams.get("expression"), close_up=framing == "head")
    shape = body.express(shape, expression)
    joints = body.joints(shape, rotations(body, pose))
    posed = body.pose(shape, joints)

    clothes = outfit.sample_outfit(streams.get("outfit"), regions, femininity=float(traits[0]))
    hairstyle = hair.sample_hair(streams.get("hair"), female=female)
    worn, cover = _dress(streams.get("cloth"), body, posed, regions, clothes)
    skin, paints = _skin(streams.get("skin"), body, posed, regions, clothes, hairstyle, cover)
    pieces = [skin, *worn]
    if hairstyle.kind == "long":
        pieces.append(hair.long_hair(hairstyle, body, shape, joints, ease=clothes.top_ease))
    landmarks = load_landmarks().locate(posed)
    hips = [posed.heads[body.bones["upperleg01" + side], 1] for side in (".L", ".R")]
    ears = np.array([load_landmarks().names.index(f"{side}_ear") for side in ("left", "right")])
    return Person(
        mesh=join(pieces),
        paints=paints,
        landmarks=landmarks,
        appearance=sample_appearance(streams.get("look"), female=female, ancestry=traits[5:8]),
        pose=pose.kind,
        gender="female" if female else "male",
        age=float(traits[1]),
        height=float(np.ptp(shape[MESHES["body"], 1])),
        head=landmarks[ears].mean(0),
        hips_y=float(np.mean(hips)),
    )


def _identity(rng: Rng, body: Body) -> tuple[F32, F32]:
    """Draw a body: a sampled identity, mixed with a similar one. Returns shape and traits."""
    while True:
        i, j = (int(n) for n in rng.integers(len(body.coefficients), size=2))
        alike = np.abs(body.traits[i, :2] - body.traits[j, :2]) < (0.3, 0.2)
        fraction = 0.75 if alike.all() else 1.0
        mix = body.coefficients[i] * fraction + body.coefficients[j] * (1 - fraction)
        shape = body.shape(mix.astype(np.float32))
        if _HEIGHTS[0] < np.ptp(shape[MESHES["body"], 1]) < _HEIGHTS[1]:
            return shape, body.traits[i]


def _dress(
    rng: Rng, body: Body, posed: Posed, regions: Regions, clothes: outfit.Outfit
) -> tuple[list[Piece], F32]:
    """Return the garments, and the field ``(V,)`` of what they cover."""
    top = outfit.top_reach(clothes, regions, body.canonical)
    bottom = outfit.bottom_reach(clothes, regions)
    shoe = outfit.shoe_reach(regions)
    covered = [top, bottom, outfit.skirt_hides(clothes, regions)]
    covered += [shoe] if clothes.shoes else []
    cover = np.maximum.reduce(covered)
    seen_top, seen_bottom = outfit.layered(clothes, top, bottom, regions)
    loose = clothes.bottom in ("long", "short")
    make = partial(garments.garment, rng, body, posed)
    worn_top = partial(make, seen_top, Material.TOP, ease=clothes.top_ease, wrinkled=True)
    worn_bottom = partial(
        make, seen_bottom, Material.BOTTOM, ease=clothes.bottom_ease, wrinkled=loose
    )
    if not clothes.top:
        pieces = [worn_bottom()]
    elif clothes.tucked:
        outer = worn_bottom()
        pieces = [outer, worn_top(over=outer)]
    else:
        outer = worn_top()
        pieces = [outer, worn_bottom(over=outer)]
    if clothes.shoes:
        pieces.append(make(shoe, Material.SHOE, ease=0.010, wrinkled=False))
    if clothes.bottom == "skirt":
        pieces.append(garments.skirt(body, posed, regions.leg, clothes.skirt_end))
    return pieces, cover.astype(np.float32)


def _skin(
    rng: Rng,
    body: Body,
    posed: Posed,
    regions: Regions,
    clothes: outfit.Outfit,
    hairstyle: hair.Hairstyle,
    cover: F32,
) -> tuple[Piece, tuple[Paint, ...]]:
    """Return the body with scalp hair, socks and apparel, and what is painted on it."""
    scalp, thickness, tone = hair.scalp_hair(hairstyle, regions, body.canonical)
    sock = outfit.sock_reach(clothes, regions)
    extra = outfit.extra_reach(clothes, regions, body.canonical)
    out = thickness - _SHRINK * np.clip(cover / _UNDER, 0, 1)
    if clothes.socks:
        out += 0.002 * np.clip(sock / 0.01, 0, 1)
    # A beanie presses the hair to the same height everywhere.
    rise = np.clip(extra / 0.008, 0, 1)
    out = np.maximum(out, 0.014 * rise) if clothes.extra == "beanie" else out + 0.003 * rise
    speckle = SineNoise.draw(rng, 2, 60.0)
    bare = np.where(scalp > 0, tone, 0)[_SKIN]
    rough = bare == 0
    shade = bare.copy()
    shade[rough] = speckle(body.canonical[_SKIN][rough])
    piece = Piece(
        vertices=(posed.vertices + posed.normals * out[:, None])[_SKIN].astype(np.float32),
        triangles=np.concatenate([body.triangles[mesh] for mesh in _SKIN_MESHES]),
        canonical=body.canonical[_SKIN],
        cut=np.where(np.arange(_SKIN.stop) < MESHES["body"].stop, (_UNDER - cover)[_SKIN], 1),
        material=_skin_materials(regions),
        tone=shade.astype(np.float32),
        one_sided=True,
    )
    fields = [
        (regions.mouth, Material.MOUTH),
        (regions.upper_lip, Material.UPPER_LIP),
        (regions.lower_lip, Material.LOWER_LIP),
    ]
    if hairstyle.kind != "bald":
        fields.append((scalp, Material.HAIR))
    if clothes.socks:
        fields.append((sock, Material.SOCK))
    if clothes.extra != "none":
        fields.append((extra, Material.APPAREL))
    paints = tuple(Paint(field=field[_SKIN].astype(np.float32), material=m) for field, m in fields)
    return piece, paints


def _skin_materials(regions: Regions) -> U8:
    material = regions.region[:NUM_VERTICES].copy()
    material[MESHES["tongue"]] = Material.TONGUE
    material[MESHES["upper_teeth"]] = Material.UPPER_TEETH
    material[MESHES["lower_teeth"]] = Material.LOWER_TEETH
    for eye in ("left_eye", "right_eye"):
        material[MESHES[eye]] = Material.EYE
    return np.asarray(material[_SKIN])
