"""DeepLabCut's CSV."""

from __future__ import annotations

from pathlib import Path

import pytest

from sapiens_lab.data.importers import recognize
from sapiens_lab.data.importers.annotated import Annotated
from tests.data.importers import sources

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
