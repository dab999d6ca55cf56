"""Maps of class ids in .mat and HDF5 files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sapiens_lab.data.importers import recognize
from sapiens_lab.data.importers.annotated import Annotated
from sapiens_lab.data.importers.pixels import mask_of
from tests.data.importers import sources

scipy_io = pytest.importorskip("scipy.io", reason='needs the extra "convert"')
h5py = pytest.importorskip("h5py", reason='needs the extra "convert"')


def labels() -> Any:
    values = np.zeros((40, 80), np.uint8)
    values[4:9, 30:50] = 3
    values[20:, :10] = 1
    return values


def read(root: Path) -> Annotated:
    sources.image(root / "images/a.jpg")
    importer = recognize(root)
    assert importer is not None
    assert importer.name == "label_maps"
    return importer.read(root)


def write_hdf5(path: Path, **arrays: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values


@pytest.mark.parametrize("kind", ["mat", "mat of doubles", "hdf5", "mat 7.3"])
def test_every_id_becomes_a_region(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "maps" / ("a.h5" if kind == "hdf5" else "a.mat")
    path.parent.mkdir()
    if kind in ("hdf5", "mat 7.3"):
        values = labels() if kind == "hdf5" else labels().T  # MATLAB stores columns first
        write_hdf5(path, labels=values, other=np.zeros(3))
    else:
        cells = np.array([[np.array([1]), "text"]], object)
        values = labels().astype(float) if "doubles" in kind else labels()
        scipy_io.savemat(path, {"groundtruth": values, "names": cells})
    found = read(tmp_path)
    assert found.classes == ["class_1", "class_2", "class_3"]
    regions = {i.label: i.counts for i in found.images[0].instances}
    assert set(regions) == {"class_1", "class_3"}
    for label, counts in regions.items():
        assert counts is not None
        assert np.array_equal(mask_of(counts, (40, 80)), labels() == int(label[-1]))


def test_what_is_no_map(tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    for name in "bcdefgh":
        sources.image(tmp_path / f"images/{name}.jpg")
    write_hdf5(folder / "a.h5", one=labels(), two=labels())
    write_hdf5(folder / "b.h5", labels=labels() + 0.5)
    write_hdf5(folder / "c.h5", labels=labels().astype(np.int16) - 9)
    write_hdf5(folder / "d.h5", labels=labels()[:9])
    sources.text(folder / "e.mat", "MATLAB 5.0 MAT-file, Platform: GLNXA64" + "x" * 200)
    sources.text(folder / "f.h5", "\x89HDF no")
    scipy_io.savemat(folder / "g.mat", {"x": np.array([[1, "x"]], object)})
    write_hdf5(tmp_path / "elsewhere.bin", labels=labels())
    with h5py.File(folder / "h.h5", "w") as file:  # what lies in another file is not read
        file["labels"] = h5py.ExternalLink(str(tmp_path / "elsewhere.bin"), "labels")
    found = read(tmp_path)
    assert not [i for image in found.images for i in image.instances]
    assert found.dropped.counts == {"label maps that cannot be read": 8}
