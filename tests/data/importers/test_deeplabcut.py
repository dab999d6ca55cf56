"""DeepLabCut's CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sapiens_lab.data.importers import recognize
from sapiens_lab.data.importers.annotated import Annotated
from tests.data.importers import sources

h5py = pytest.importorskip("h5py", reason='needs the extra "convert"')

FOLDER = "labeled-data/run"


def read(root: Path) -> Annotated:
    importer = recognize(root)
    assert importer is not None
    assert importer.name == "deeplabcut"
    return importer.read(root)


@pytest.mark.parametrize("index", [f"{FOLDER}/img1.png", f"{FOLDER.replace('/', ',')},img1.png"])
def test_one_animal(tmp_path: Path, index: str) -> None:
    """The index is a path, or since version 2.2 its parts; an empty cell is not labeled."""
    sources.image(tmp_path / FOLDER / "img1.png")
    gap = "," * index.count(",")
    lines = [
        f"scorer{gap},me,me,me,me",
        f"bodyparts{gap},snout,snout,tail,tail",
        f"coords{gap},x,y,x,y",
        f"{index},10.5,12.25,,",
    ]
    sources.text(tmp_path / FOLDER / "CollectedData_me.csv", "\n".join(lines))
    sources.text(tmp_path / "config.yaml", "skeleton:\n- [snout, tail]\n- [snout, ear]\n")
    found = read(tmp_path)
    (image,) = found.images
    assert (image.name, image.video) == (f"{FOLDER}/img1.png", "run")
    assert image.instances[0].keypoints == {"snout": (10.5, 12.25, 2)}
    points = found.point_sets["individual"]
    assert (points.names, points.edges) == (["snout", "tail"], [("snout", "tail")])


def test_several_animals(tmp_path: Path) -> None:
    """Points of ``single`` belong to none of them."""
    sources.image(tmp_path / FOLDER / "img1.png")
    lines = [
        "scorer,me,me,me,me,me,me",
        "individuals,a,a,b,b,single,single",
        "bodyparts,snout,snout,snout,snout,corner,corner",
        "coords,x,y,x,y,x,y",
        f"{FOLDER}/img1.png,1,2,3,4,5,6",
        f"{FOLDER}/img2.png,1,2,3,4,5,6",
        f"{FOLDER}/img1.png,nan,1",
    ]
    sources.text(tmp_path / FOLDER / "CollectedData_me.csv", "\n".join(lines))
    found = read(tmp_path)
    assert [i.keypoints for i in found.images[0].instances] == [
        {"snout": (1, 2, 2)},
        {"snout": (3, 4, 2)},
    ]
    assert found.point_sets["individual"].names == ["snout"]
    assert found.dropped.counts == {
        "points that belong to no individual": 1,
        "images that are annotated but not in the folder": 1,
    }


def test_a_header_without_columns_is_named(tmp_path: Path) -> None:
    sources.text(tmp_path / "CollectedData_me.csv", "scorer,me\nbodyparts,a\ncoords,z\n")
    with pytest.raises(ValueError, match="no pairs of columns"):
        read(tmp_path)


def test_a_field_without_end_is_named(tmp_path: Path) -> None:
    text = "scorer,me,me\nbodyparts,a,a\ncoords,x,y\nimg," + "1" * 200_000
    sources.text(tmp_path / "CollectedData_me.csv", text)
    with pytest.raises(ValueError, match="is not valid CSV"):
        read(tmp_path)


def write_h5(path: Path, **arrays: Any) -> None:
    """Write one row of two individuals as pandas does: names of each level, places in them."""
    header = {"scorer": ["me"], "individuals": ["a", "b"], "bodyparts": ["snout"],
              "coords": ["x", "y"]}  # fmt: skip
    places = [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]]
    content: dict[str, Any] = {"block0_values": np.array([[1.5, 2, np.nan, np.nan]])}
    for i, (names, place) in enumerate(zip(header.values(), places, strict=True)):
        content[f"axis0_level{i}"] = np.array(names, "S")
        content[f"axis0_label{i}"] = np.array(place, np.int8)
    for i, name in enumerate(("labeled-data", "run", "img1.png")):
        content[f"axis1_level{i}"] = np.array([name], "S")
        content[f"axis1_label{i}"] = np.zeros(1, np.int8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        for name, values in {**content, **arrays}.items():
            group[name] = values


def test_the_h5_is_read_where_there_is_no_csv(tmp_path: Path) -> None:
    sources.image(tmp_path / FOLDER / "img1.png")
    write_h5(tmp_path / FOLDER / "CollectedData_me.h5")
    found = read(tmp_path)
    assert [i.keypoints for i in found.images[0].instances] == [{"snout": (1.5, 2, 2)}]


@pytest.mark.parametrize(
    "fault",
    [
        {"axis0_label1": np.array([0, 0, 9, 9])},
        {"axis0_label1": np.array([0, 0, -1, 1])},
        {"axis0_level1": np.array([1, 2])},
        {"block0_values": np.zeros((1, 3))},
        {"block0_values": h5py.ExternalLink("other.h5", "x")},
        {"block0_values": h5py.SoftLink("/df_with_missing/axis0_label0")},
    ],
)
def test_hostile_h5(tmp_path: Path, fault: dict[str, Any]) -> None:
    write_h5(tmp_path / "CollectedData_me.h5", **fault)
    with pytest.raises(ValueError, match=r"CollectedData_me\.h5"):
        read(tmp_path)


def test_an_h5_that_is_none_is_named(tmp_path: Path) -> None:
    sources.text(tmp_path / "CollectedData_me.h5", "no HDF5")
    with pytest.raises(ValueError, match="cannot be read"):
        read(tmp_path)
