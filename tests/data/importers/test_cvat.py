"""CVAT's XML for images and for video."""

from __future__ import annotations

from pathlib import Path

import pytest

from sapiens_lab.data.importers import recognize
from sapiens_lab.data.importers.annotated import Annotated
from sapiens_lab.data.importers.pixels import mask_of
from tests.data.importers import sources

SVG = (
    "&lt;circle data-type=&quot;element node&quot; data-element-id=&quot;1&quot; "
    "data-node-id=&quot;1&quot; data-label-name=&quot;nose&quot;&gt;&lt;/circle&gt;"
    "&lt;circle data-node-id=&quot;2&quot; data-label-name=&quot;left_eye&quot;&gt;"
    "&lt;/circle&gt;&lt;line data-type=&quot;edge&quot; data-node-from=&quot;1&quot; "
    "data-node-to=&quot;2&quot;&gt;&lt;/line&gt;"
)
META = f"""<meta><task><size>3</size><labels>
<label><name>person</name><type>skeleton</type><svg>{SVG}</svg></label>
<label><name>left_eye</name><type>points</type><parent>person</parent></label>
<label><name>nose</name><type>points</type><parent>person</parent></label>
<label><name>shirt</name><type>polygon</type></label>
</labels></task></meta>"""


def write(root: Path, body: str, *, meta: str = META) -> None:
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
    sources.text(root / "annotations.xml", f"{head}{meta}{body}</annotations>")


def read(root: Path) -> Annotated:
    importer = recognize(root)
    assert importer is not None
    assert importer.name == "cvat"
    return importer.read(root)


def test_images(tmp_path: Path) -> None:
    """A skeleton, an outline, a mask of two runs, and a rotated box around loose points."""
    sources.image(tmp_path / "images/train/a.jpg")
    write(
        tmp_path,
        """<image id="0" name="a.jpg" subset="Train" width="80" height="40">
        <skeleton label="person" z_order="0">
          <points label="left_eye" occluded="1" outside="0" points="12.50,8.25"/>
          <points label="nose" occluded="0" outside="1" points="0.00,0.00"/>
        </skeleton>
        <polygon label="shirt" points="6,15;16,15;16,25"/>
        <mask label="hat" rle="1, 3, 2" left="10" top="4" width="3" height="2"/>
        <ellipse label="shoe" cx="40" cy="20" rx="8" ry="4" rotation="90"/>
        <polyline label="rope" points="1,1;2,2"/>
        <tag label="sunny"/>
        </image>""",
    )
    found = read(tmp_path)
    (image,) = found.images
    assert (image.name, image.subset) == ("images/train/a.jpg", "Train")
    shirt, hat, shoe, person = image.instances
    assert person.keypoints == {"left_eye": (12.5, 8.25, 1)}
    assert shirt.polygons == [[6, 15, 16, 15, 16, 25]]
    assert hat.counts is not None
    # Rows 4 and 5, columns 10 to 12: 0 1 1 / 1 0 0.
    assert mask_of(hat.counts, (40, 80))[3:7, 9:14].astype(int).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    x, y = shoe.polygons[0][::2], shoe.polygons[0][1::2]
    assert (min(x), max(x), min(y), max(y)) == pytest.approx((36, 44, 12, 28))
    points = found.point_sets["person"]
    assert points.names == ["nose", "left_eye"]  # the order of the drawing
    assert points.edges == [("nose", "left_eye")]
    assert found.dropped.counts == {"shapes of the kind 'polyline'": 1}


def test_points_that_belong_to_a_box(tmp_path: Path) -> None:
    """A box of 40 x 20 that is turned by 90 degrees about its center (40, 20) is 20 x 40."""
    sources.image(tmp_path / "a.jpg")
    write(
        tmp_path,
        """<image id="0" name="a.jpg" width="80" height="40">
        <box label="person" xtl="20" ytl="10" xbr="60" ybr="30" rotation="90"/>
        <points label="nose" points="40,5"/>
        <points label="hand" points="1,2;3,4" group_id="7"/>
        <box label="hand" xtl="0" ytl="0" xbr="9" ybr="9" group_id="7"/></image>""",
    )
    hand, person = read(tmp_path).images[0].instances
    assert hand.keypoints == {"1": (1, 2, 2), "2": (3, 4, 2)}
    assert hand.box == (0, 0, 9, 9)
    assert person.box == pytest.approx((30, 0, 50, 40))
    assert person.keypoints == {"nose": (40, 5, 2)}


def test_video(tmp_path: Path) -> None:
    """Between keyframes 0 and 4, frame 1 is a quarter of the way; after ``outside`` is nothing."""
    for i in range(5):
        sources.image(tmp_path / f"images/frame_00000{i}.png")
    sources.image(tmp_path / "images/frame_000009.png")
    skeleton = """<skeleton frame="{}" keyframe="1" outside="0">
        <points label="nose" outside="0" occluded="1" points="{}"/>
        <points label="left_eye" outside="{}" occluded="0" points="4,4"/></skeleton>"""
    write(
        tmp_path,
        f"""<track id="0" label="person">
        {skeleton.format(0, "10,10", 0)}{skeleton.format(4, "30,18", 1)}</track>
        <track id="1" label="shirt">
        <polygon frame="0" outside="0" points="6,15;16,15;16,25"/>
        <polygon frame="3" outside="1" points="6,15;16,15;16,25"/>
        <polygon frame="7" outside="0" points="6,15;16,15;16,25"/></track>""",
        meta="<meta><original_size><width>80</width><height>40</height></original_size></meta>",
    )
    found = read(tmp_path)
    assert [image.name[-5] for image in found.images] == ["0", "1", "2", "3", "4"]
    people = [[i for i in image.instances if i.keypoints] for image in found.images]
    assert [p.keypoints["nose"] for (p,) in people] == [
        (10, 10, 1), (15, 12, 1), (20, 14, 1), (25, 16, 1), (30, 18, 1)
    ]  # fmt: skip
    assert ["left_eye" in p.keypoints for (p,) in people] == [True, True, True, True, False]
    assert [i.label for i in found.images[0].instances] == ["shirt", "person"]
    assert found.dropped.counts == {
        "images that are annotated but not in the folder": 1,
        "outlines between keyframes, which are not interpolated": 2,
    }
    assert found.images[0].video == "images" or found.images[0].video


def test_a_track_over_a_billion_frames_costs_nothing(tmp_path: Path) -> None:
    sources.image(tmp_path / "frame_000000.png")
    box = '<box frame="{}" outside="0" xtl="1" ytl="1" xbr="9" ybr="9"/>'
    body = f'<track id="0" label="a">{box.format(0)}{box.format(10**9)}</track>'
    write(tmp_path, body)
    assert len(read(tmp_path).images) == 1


BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>
<annotations><version>1.1</version><meta>&b;</meta></annotations>"""
OUTSIDE = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<annotations><version>1.1</version><meta>&a;</meta></annotations>"""
DEEP = "<annotations><version>1.1</version><meta>" + "<a>" * 200_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB, "declares a document type"),
        (OUTSIDE, "declares a document type"),
        (DEEP, "nested more than 100 deep"),
        ("<annotations><version>1.1</version><image", "is not valid XML"),
        ('<?xml version="1.0" encoding="utf-J"?>\n<annotations><meta>', "is not valid XML"),
        ("<annotations><version>&nothing;</version></annotations>", "is not valid XML"),
    ],
)
def test_hostile_xml(tmp_path: Path, content: str, message: str) -> None:
    sources.text(tmp_path / "a.xml", content)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


@pytest.mark.parametrize(
    "mask",
    [
        'rle="1, 99999999999" left="0" top="0" width="100000" height="1000000"',
        'rle="-1, 7" left="0" top="0" width="3" height="2"',
        'rle="6" left="1e9" top="0" width="3" height="2"',
        'rle="6" left="99999999999999999999" top="0" width="3" height="2"',
        'rle="" left="0" top="0" width="0" height="0"',
        'rle="x"',
    ],
)
def test_hostile_masks(tmp_path: Path, mask: str) -> None:
    sources.image(tmp_path / "a.jpg")
    write(tmp_path, f'<image name="a.jpg" width="80" height="40"><mask label="a" {mask}/></image>')
    found = read(tmp_path)
    assert found.dropped.counts == {"masks that cannot be read": 1}


def test_numbers_that_are_none(tmp_path: Path) -> None:
    sources.image(tmp_path / "a.jpg")
    write(
        tmp_path,
        """<image name="a.jpg" width="80" height="40">
        <box label="a" xtl="nan" ytl="1" xbr="2" ybr="inf"/><points label="b" points="1,x"/>
        <points label="c" points="7"/><polygon label="d" points="1,1;2,2;1e300,5"/>
        <ellipse label="e"/></image>""",
    )
    found = read(tmp_path)
    assert not found.images[0].instances
    assert sum(found.dropped.counts.values()) == 5
