"""Scans: any file comes out upright and in meters, and its maps agree with its shape."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sapiens_lab.synthetic.people.views import View
from sapiens_lab.synthetic.rendering.orbit import Orbit
from sapiens_lab.synthetic.scans.render import sample_texture
from sapiens_lab.synthetic.scans.scan import Scan, corner_normals, load_scan
from sapiens_lab.synthetic.scans.views import ScanViews

SIZE = (96, 72)
NUM_VIEWS = 4


@pytest.fixture(scope="module", autouse=True)
def trimesh() -> None:
    pytest.importorskip("trimesh", reason='reading meshes needs pip install "sapiens-lab[scan]"')


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    """0.5 m wide, 1.75 m tall and 0.3 m deep, in centimeters and away from the origin."""
    path = tmp_path_factory.mktemp("box") / "box.obj"
    _write_box(path, np.array([50.0, 175.0, 30.0]), np.array([300.0, -20.0, 10.0]))
    return load_scan(path)


@pytest.fixture(scope="module")
def sphere(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    """Textured: red above, blue below."""
    folder = tmp_path_factory.mktemp("sphere")
    texture = np.zeros((64, 128, 3), np.uint8)
    texture[:32], texture[32:] = (200, 40, 40), (40, 40, 200)
    cv2.imwrite(str(folder / "skin.png"), texture[..., ::-1])
    (folder / "sphere.mtl").write_text("newmtl skin\nmap_Kd skin.png\n")
    _write_sphere(folder / "sphere.obj")
    return load_scan(folder / "sphere.obj")


def _write_box(path: Path, extents: np.ndarray, center: np.ndarray) -> None:
    corners = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    places = np.array(corners) * extents / 2 + center
    quads = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]
    lines = [f"v {x} {y} {z}" for x, y, z in places]
    lines += [f"f {a} {b} {c}\nf {a} {c} {d}" for a, b, c, d in quads]
    path.write_text("\n".join(lines) + "\n")


def _write_sphere(path: Path, rows: int = 48, columns: int = 96) -> None:
    polar, round_ = np.meshgrid(
        np.linspace(0, np.pi, rows + 1), np.linspace(0, 2 * np.pi, columns + 1), indexing="ij"
    )
    x, y, z = np.sin(polar) * np.sin(round_), np.cos(polar), np.sin(polar) * np.cos(round_)
    lines = ["mtllib sphere.mtl", "usemtl skin"]
    lines += [f"v {a} {b} {c}" for a, b, c in zip(x.flat, y.flat, z.flat, strict=True)]
    lines += [
        f"vt {u} {v}"
        for u, v in zip((round_ / (2 * np.pi)).flat, (1 - polar / np.pi).flat, strict=True)
    ]
    number = np.arange(1, x.size + 1).reshape(x.shape)
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    for corners in zip(a.flat, b.flat, c.flat, d.flat, strict=True):
        p, q, r, s = (f"{n}/{n}" for n in corners)
        lines += [f"f {p} {q} {r}", f"f {p} {r} {s}"]
    path.write_text("\n".join(lines) + "\n")


def _views(scan: Scan, **settings: object) -> list[View]:
    views = ScanViews(scan=scan, image_size=SIZE, **settings)  # type: ignore[arg-type]
    return [views.view(i) for i in range(NUM_VIEWS)]


def _points(view: View) -> np.ndarray:
    """Return the world points of the mask's pixels, from the depth alone."""
    y, x = np.nonzero(view.mask)
    ahead = view.camera.rays(np.stack([x, y], 1)) * view.depth[view.mask][:, None]
    return np.asarray((ahead - view.camera.t) @ view.camera.R)


def test_a_box_is_scaled_and_stands_on_the_floor(box: Scan) -> None:
    np.testing.assert_allclose(box.vertices.min(0), [-0.25, 0, -0.15], atol=1e-6)
    np.testing.assert_allclose(box.vertices.max(0), [0.25, 1.75, 0.15], atol=1e-6)
    corner = box.placement @ [325, 67.5, 25, 1]
    np.testing.assert_allclose(corner[:3], [0.25, 1.75, 0.15], atol=1e-9)


def test_z_up_and_metric(tmp_path: Path) -> None:
    _write_box(tmp_path / "box.obj", np.array([0.5, 0.3, 1.6]), np.array([1.0, 2.0, 3.0]))
    scan = load_scan(tmp_path / "box.obj", up="z", height_m=None)
    np.testing.assert_allclose(np.ptp(scan.vertices, axis=0), [0.5, 1.6, 0.3], atol=1e-6)
    front = scan.placement[:3, :3] @ [0, -1, 0]  # a person modeled with z up faces -y
    np.testing.assert_allclose(front, [0, 0, 1], atol=1e-9)


def test_depth_lies_on_the_box(box: Scan) -> None:
    for view in _views(box):
        assert view.mask.sum() > 100
        np.testing.assert_array_equal(view.mask, view.depth > 0)
        points = _points(view)
        assert (points > [-0.2505, -0.0005, -0.1505]).all()
        assert (points < [0.2505, 1.7505, 0.1505]).all()
        inside = np.minimum(points - box.vertices.min(0), box.vertices.max(0) - points)
        assert np.abs(inside.min(1)).max() < 1e-3  # [m] from the nearest side


def test_normals_of_a_box_are_those_of_its_sides(box: Scan) -> None:
    for view in _views(box):
        world = view.normal[view.mask] @ view.camera.R
        np.testing.assert_allclose(np.abs(world).max(1), 1, atol=1e-5)
        points = _points(view)
        outward = np.sign(points - [0, 0.875, 0]) * np.abs(world)
        np.testing.assert_allclose(world, outward, atol=1e-5)


def test_normals_of_a_sphere_point_from_its_center_and_agree_with_depth(sphere: Scan) -> None:
    for view in _views(sphere):
        outward = _points(view) - [0, 0.875, 0]
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        world = view.normal[view.mask] @ view.camera.R
        cosine = np.clip((outward * world).sum(1), -1, 1)
        assert np.degrees(np.arccos(cosine)).max() < 1.5
        assert np.median(_gradient_angles(view)) < 1.5  # [degrees]


def _gradient_angles(view: View) -> np.ndarray:
    height, width = SIZE
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
    points = view.camera.rays(grid) * view.depth[..., None]
    right = points[1:-1, 2:] - points[1:-1, :-2]
    down = points[2:, 1:-1] - points[:-2, 1:-1]
    normal = np.cross(down, right)  # toward the viewer: z negative
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-12
    m = view.mask
    whole = m[1:-1, 1:-1] & m[1:-1, 2:] & m[1:-1, :-2] & m[2:, 1:-1] & m[:-2, 1:-1]
    assert whole.sum() > 100
    return np.degrees(np.arccos(np.clip((normal * view.normal[1:-1, 1:-1]).sum(-1)[whole], -1, 1)))


def test_the_texture_lies_the_right_way_up(sphere: Scan) -> None:
    assert len(sphere.textures) == 1
    for view in _views(sphere, close_ups=False):
        height = np.zeros(SIZE)
        height[view.mask] = _points(view)[:, 1]
        red, _, blue = np.moveaxis(view.rgb.astype(int), -1, 0)
        above, below = height > 1.0, (height > 0) & (height < 0.75)
        assert (red - blue)[above].mean() > 10
        assert (red - blue)[below].mean() < -10


def test_views_are_seeded_and_differ(box: Scan) -> None:
    first, again = _views(box), _views(box)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.rgb, b.rgb)
    distances = {round(view.facts["view"]["distance_m"], 3) for view in first}
    assert len(distances) == NUM_VIEWS
    other = ScanViews(scan=box, image_size=SIZE, seed=1).view(0)
    assert other.facts["view"]["azimuth_deg"] != first[0].facts["view"]["azimuth_deg"]


def test_the_orbit_says_where_cameras_stand(box: Scan) -> None:
    at_the_left = Orbit(azimuth_deg=(90, 90), elevation_deg=(30, 30), fov_deg=(40, 40))
    for view in _views(box, orbit=at_the_left, close_ups=False):
        to_camera = view.camera.center - [0, 0.875, 0]
        assert to_camera[0] > 1  # a person who faces z has the left hand at +x
        assert to_camera[1] > 0
        assert view.camera.K[1, 1] == pytest.approx(48 / np.tan(np.radians(20)))
        y, x = np.nonzero(view.mask)
        center = np.array([(x.min() + x.max()) / 2, (y.min() + y.max()) / 2])
        np.testing.assert_allclose(center, [35.5, 47.5], atol=1)
        share = max(np.ptp(y) / SIZE[0], np.ptp(x) / SIZE[1])
        assert share == pytest.approx(view.facts["view"]["fill"], abs=0.04)


def test_close_ups_show_the_top_of_a_dense_mesh_alone(sphere: Scan) -> None:
    views = ScanViews(scan=sphere, image_size=SIZE)
    framings = [views.view(i).facts["view"]["framing"] for i in range(12)]
    assert {"full", "upper"} <= set(framings)
    index = framings.index("upper")
    whole = ScanViews(scan=sphere, image_size=SIZE, close_ups=False).view(index)
    nearer = views.view(index).facts["view"]["distance_m"]
    assert nearer <= whole.facts["view"]["distance_m"]


def test_corner_normals_are_smooth_where_the_surface_is_and_sharp_at_edges() -> None:
    flat = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    bent = flat.copy()
    bent[3] = [0.5, 0.5, 0.7]  # folds the second triangle by 90 degrees about the diagonal
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    _, normals = corner_normals(flat, triangles)
    np.testing.assert_allclose(normals, np.broadcast_to([0, 0, 1], (2, 3, 3)), atol=1e-6)
    faces, normals = corner_normals(bent, triangles)
    np.testing.assert_allclose(normals[0, 0], faces[0], atol=1e-6)
    np.testing.assert_allclose(normals[1, 0], faces[1], atol=1e-6)
    assert faces[0] @ faces[1] == pytest.approx(0, abs=1e-5)


def test_vertices_split_at_a_seam_count_as_one() -> None:
    split = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0.1], [0, 0, 0], [1, 1, 0.1], [0, 1, 0]])
    _, normals = corner_normals(split.astype(np.float32), np.array([[0, 1, 2], [3, 4, 5]]))
    np.testing.assert_allclose(normals[0, 0], normals[1, 0], atol=1e-6)


def test_the_back_of_an_open_surface_shows_the_opposite_normal(tmp_path: Path) -> None:
    path = tmp_path / "sheet.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3\nf 1 4 3\n")  # winding mixed
    for azimuth, z in ((0.0, 1.0), (180.0, -1.0)):
        orbit = Orbit(azimuth_deg=(azimuth, azimuth))
        for view in _views(load_scan(path), orbit=orbit):
            world = view.normal[view.mask] @ view.camera.R
            np.testing.assert_allclose(world, np.broadcast_to([0, 0, z], world.shape), atol=1e-5)


def test_texels_are_read_at_their_centers_and_the_texture_repeats() -> None:
    texture = np.array([[[0] * 3, [100] * 3], [[200] * 3, [40] * 3]], np.uint8)
    uv = np.array([[0.25, 0.75], [0.75, 0.75], [0.25, 0.25], [0.5, 0.75], [1.25, -0.25]])
    colors = sample_texture(texture, uv.astype(np.float32))[:, 0] * 255
    np.testing.assert_allclose(colors, [0, 100, 200, 50, 0], atol=1e-3)
    coarse = sample_texture(texture, uv.astype(np.float32), density=2.0)[:, 0] * 255
    np.testing.assert_allclose(coarse, 85, atol=1)  # the mean of all four


def test_colors_of_vertices_and_of_parts_of_a_glb(tmp_path: Path) -> None:
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=1)
    paint = np.tile(np.array([10, 200, 30, 255], np.uint8), (len(ball.vertices), 1))
    ball.visual = trimesh.visual.ColorVisuals(ball, vertex_colors=paint)
    plain = trimesh.creation.box()
    scene = trimesh.Scene()
    scene.add_geometry(ball)
    scene.add_geometry(plain, transform=trimesh.transformations.translation_matrix([0, 3, 0]))
    scene.export(tmp_path / "two.glb")
    scan = load_scan(tmp_path / "two.glb", height_m=None)
    assert np.ptp(scan.vertices[:, 1]) == pytest.approx(4.5, abs=1e-3)  # -1 .. 3.5
    colors = {tuple(c) for c in scan.colors.reshape(-1, 3).tolist()}
    assert (10, 200, 30) in colors
    assert len(colors) == 2


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no mesh .*gone\.obj"):
        load_scan(tmp_path / "gone.obj")
    (tmp_path / "person.fbx").write_text("")
    with pytest.raises(ValueError, match=r"person\.fbx is none of \.obj, .* export the mesh"):
        load_scan(tmp_path / "person.fbx")
    (tmp_path / "points.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\n")
    with pytest.raises(ValueError, match=r"points\.obj"):
        load_scan(tmp_path / "points.obj")
    (tmp_path / "flat.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 0 1\nf 1 2 3\n")
    with pytest.raises(ValueError, match="no height along y; give the axis that points up"):
        load_scan(tmp_path / "flat.obj")
    _write_box(tmp_path / "mm.obj", np.array([500.0, 1750.0, 300.0]), np.zeros(3))
    with pytest.raises(ValueError, match="1750 units tall, which are hardly meters: leave out"):
        load_scan(tmp_path / "mm.obj", height_m=None)


def test_without_trimesh_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_box(tmp_path / "box.obj", np.ones(3), np.zeros(3))
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(ImportError, match=r'pip install "sapiens-lab\[scan\]"'):
        load_scan(tmp_path / "box.obj")
