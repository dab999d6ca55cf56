"""Videos: frames upright and with their times, sound kept, bounded memory, mistakes in a line."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sapiens_lab.inference.boxes import Boxes
from sapiens_lab.inference.predictor import Predictor
from sapiens_lab.inference.results.pose import PoseResult
from sapiens_lab.inference.video.predicting import ahead
from sapiens_lab.inference.video.reading import VideoFrame, open_video
from sapiens_lab.inference.video.settings import VideoSettings
from sapiens_lab.inference.video.writing import writing
from sapiens_lab.limits import TooLargeError
from tests.command import status
from tests.inference.clips import image_of, read_images, read_sound, read_times, write_clip

Weights = dict[str, Path]
UNEVEN = (0, 20, 35, 90, 100, 260, 300)  # 600ths of a second


def frames_of(path: Path, **settings: float) -> list[VideoFrame]:
    chosen = VideoSettings(**settings)  # type: ignore[arg-type]  # stride is a whole number
    return list(open_video(str(path), chosen).frames())


def predict(source: object, weights: Path, out: Path, *options: str) -> int:
    return status("predict", str(source), "--weights", str(weights), "--out", str(out),
                  "--device", "cpu", *options)  # fmt: skip


def moving_person(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Find one person whose box is as far right as the image is bright."""
    left = float(image[-1, -1].mean()) / 10
    return np.array([[left, 2, left + 30, 44]], np.float32)


def test_every_frame_has_its_time(tmp_path: Path) -> None:
    frames = frames_of(write_clip(tmp_path / "a.mp4", times=UNEVEN))
    assert [f.index for f in frames] == list(range(7))
    np.testing.assert_allclose([f.time_s for f in frames], np.array(UNEVEN) / 600)
    for number, frame in enumerate(frames):
        difference = frame.read().astype(int) - image_of(number, (48, 64))
        assert np.abs(difference).mean() < 6


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_frames_are_upright(tmp_path: Path, rotation: int) -> None:
    path = write_clip(tmp_path / "a.mp4", rotation=rotation)
    image = frames_of(path)[0].read()
    _, by_opencv = cv2.VideoCapture(str(path)).read()  # turns by itself
    assert image.shape == by_opencv.shape == ((48, 64, 3) if rotation == 180 else (64, 48, 3))
    assert np.abs(image.astype(int) - by_opencv[..., ::-1]).mean() < 6


def test_a_part_of_a_video(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", times=range(0, 1200, 20))
    frames = frames_of(path, start_s=0.5, end_s=1.0, stride=4)
    assert [f.index for f in frames] == [0, 4, 8, 12]
    np.testing.assert_allclose([f.time_s for f in frames], 0.5 + np.arange(4) * 4 / 30)
    number = round(frames[1].time_s * 30)
    assert np.abs(frames[1].read().astype(int) - image_of(number, (48, 64))).mean() < 6
    assert open_video(str(path), VideoSettings(start_s=0.5, end_s=1.0, stride=4)).num_frames == 4
    with pytest.raises(ValueError, match="no frame from 5 s"):
        frames_of(path, start_s=5)


@pytest.mark.parametrize("wrong", [{"start_s": -1}, {"start_s": 2, "end_s": 1}, {"stride": 0},
                                   {"detect_every": 0}, {"cutoff_hz": 0}])  # fmt: skip
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"start|stride|cutoff"):
        VideoSettings(**wrong)  # type: ignore[arg-type]


def test_an_mp4_that_browsers_play(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    settings = VideoSettings()
    with writing(path, (47, 63), rate=Fraction(30), time_base=Fraction(1, 600), sound=None,
                 settings=settings) as writer:  # fmt: skip
        for number, time_ in enumerate(UNEVEN):
            writer.add(image_of(number, (47, 63)), time_ / 600)
        writer.finish(1)
    np.testing.assert_allclose(read_times(path), np.array(UNEVEN) / 600, atol=1e-6)
    assert [image.shape for image in read_images(path)] == [(48, 64, 3)] * 7
    assert np.abs(read_images(path)[0][:20, :28].astype(int) - (220, 20, 20)).mean() < 8
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # the index comes first
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_sound_is_copied(tmp_path: Path, weights: Weights, kind: str) -> None:
    path = write_clip(tmp_path / f"a.{kind}", sound="aac")
    assert predict(path, weights["segmentation"], tmp_path / "out", "--save", "overlay") == 0
    found = tmp_path / "out/overlay/a.segmentation.mp4"
    packets = read_sound(path)
    assert len(packets) > 2
    assert read_sound(found) == packets
    np.testing.assert_allclose(read_times(found), read_times(path), atol=2e-3)


def test_sound_that_an_mp4_does_not_hold_becomes_aac(tmp_path: Path, weights: Weights) -> None:
    path = write_clip(tmp_path / "a.mkv", sound="pcm_s16le", times=range(0, 620, 20))
    options = ("--save", "overlay", "--start", "0.5")
    assert predict(path, weights["segmentation"], tmp_path / "out", *options) == 0
    with av.open(str(tmp_path / "out/overlay/a.segmentation.mp4")) as container:
        sound = container.streams.audio[0]
        assert sound.codec_context.name == "aac"
        heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(sound)])
    assert 0.35 < len(heard) / sound.rate < 0.7  # the half that is meant
    spectrum = np.abs(np.fft.rfft(heard))
    peak = np.fft.rfftfreq(len(heard), 1 / sound.rate)[spectrum.argmax()]
    assert peak == pytest.approx(440, abs=10)


def test_files_of_a_video(tmp_path: Path, weights: Weights) -> None:
    path = write_clip(tmp_path / "walk.mp4", times=UNEVEN)
    out = tmp_path / "out"
    options = ("--detector", f"{__name__}.moving_person", "--track", "--smooth",
               "--save", "image,overlay,json,crops")  # fmt: skip
    assert predict(path, weights["pose"], out, *options) == 0
    assert {p.name for p in out.iterdir()} == {
        "image", "overlay", "json", "crops", "predict.json", "images.jsonl"
    }  # fmt: skip
    rows = json.loads((out / "json/walk.coco_keypoints.json").read_text())
    assert [row["image_id"] for row in rows] == list(range(7))
    assert {row["track_id"] for row in rows} == {1}
    np.testing.assert_allclose([r["time_s"] for r in rows], np.array(UNEVEN) / 600, atol=1e-6)
    assert len(rows[0]["keypoints"]) == 3 * 17
    frames = json.loads((out / "json/walk.json").read_text())
    assert frames[3]["pose"] == {"skeleton": "coco17", "people": 1, "track_ids": [1]}
    assert len(read_times(out / "overlay/walk.pose.mp4")) == 7
    assert len({image.shape for image in read_images(out / "image/walk.mp4")}) == 1
    assert (out / "crops/walk/000006.0.jpg").is_file()
    before = (out / "overlay/walk.pose.mp4").stat().st_mtime_ns
    assert predict(path, weights["pose"], out, *options) == 0  # nothing is left to do
    assert (out / "overlay/walk.pose.mp4").stat().st_mtime_ns == before
    assert predict(path, weights["pose"], out, *options, "--stride", "2") == 1  # other settings


def test_a_video_and_an_image_of_one_name_have_files_of_their_own(
    tmp_path: Path, weights: Weights
) -> None:
    path = write_clip(tmp_path / "a.mp4")
    cv2.imwrite(str(tmp_path / "a.jpg"), image_of(0, (48, 64)))
    out = tmp_path / "out"
    options = (str(tmp_path / "a.jpg"), "--save", "overlay,json")
    assert predict(path, weights["segmentation"], out, *options) == 0
    assert {p.name for p in (out / "overlay").iterdir()} == {
        "a.segmentation.jpg", "a_mp4.segmentation.mp4"
    }  # fmt: skip
    assert {p.name for p in (out / "json").iterdir()} == {"a.json", "a_mp4.json"}
    assert json.loads((out / "json/a.json").read_text())["height"] == 48


def test_one_frame_alone_is_the_image(tmp_path: Path, weights: Weights) -> None:
    """Without settings a video is predicted as its frames would be as images."""
    path = write_clip(tmp_path / "a.mp4")
    predictor = Predictor.from_pretrained(weights["all"], device="cpu", batch_size=1)
    alone = [predictor(frame.read()) for frame in frames_of(path)]
    called = [result.to_numpy() for result in predictor(path)]
    streamed = [
        {name: array for result in frame.results for name, array in result.to_numpy().items()}
        for frame in predictor.video(path)
    ]
    assert len(called) == len(streamed) == len(alone)
    for one, other, expected in zip(called, streamed, alone, strict=True):
        for name, array in expected.to_numpy().items():
            np.testing.assert_array_equal(one[name], array)
            np.testing.assert_array_equal(other[name], array)


def test_between_detections_boxes_move_on(tmp_path: Path, weights: Weights) -> None:
    path = write_clip(tmp_path / "a.mp4", times=range(0, 240, 20))
    calls: list[str] = []

    def detector(image: NDArray[np.uint8], name: str) -> Boxes:
        calls.append(name)
        return Boxes.of(moving_person(image))

    predictor = Predictor.from_pretrained(weights["pose"], device="cpu", detector=detector)
    results = list(predictor.video(path, VideoSettings(detect_every=4, track=True)))
    assert len(results) == 12
    assert len(calls) == 3
    assert all(frame.track_ids == (1,) for frame in results)
    lefts = [r.boxes.xyxy[0, 0] for f in results for r in f.results if isinstance(r, PoseResult)]
    assert lefts[4] < lefts[5] < lefts[6] < lefts[7]  # not only where it was looked for


def test_following_needs_a_detector(tmp_path: Path, weights: Weights) -> None:
    predictor = Predictor.from_pretrained(weights["pose"], device="cpu")
    with pytest.raises(ValueError, match="give a detector"):
        next(predictor.video(write_clip(tmp_path / "a.mp4"), VideoSettings(track=True)))


def test_memory_does_not_depend_on_the_length(tmp_path: Path, weights: Weights) -> None:
    path = write_clip(tmp_path / "a.mp4", times=range(0, 240 * 20, 20), size=(16, 16))
    predictor = Predictor.from_pretrained(weights["segmentation"], device="cpu", num_threads=2)
    read = 0
    most = 0
    settings = VideoSettings()
    file = open_video(str(path), settings)
    real = type(file).frames

    def counted(self: object) -> Iterator[VideoFrame]:
        nonlocal read
        for frame in real(file):
            read += 1
            yield frame

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sapiens_lab.inference.video.reading.VideoFile.frames", counted)
        for done, _ in enumerate(predictor.video(path, settings), 1):
            most = max(most, read - done)
    assert read == 240
    # 2 ahead, 4 and the next one with the readers, 4 in a batch, 5 with those that finish
    assert most <= 2 + 5 + predictor.batch_size + 5 + predictor.batch_size


def test_a_slow_taker_holds_the_thread_that_reads_ahead() -> None:
    made: list[int] = []
    threads = threading.active_count()

    def endless() -> Iterator[int]:
        while True:
            made.append(len(made) + 1)
            yield made[-1]

    items = ahead(endless(), 3)
    assert next(items) == 1
    time.sleep(0.05)
    assert len(made) == 3
    items.close()  # type: ignore[attr-defined]  # a generator
    assert threading.active_count() == threads


def cut_off(folder: Path, kind: str) -> Path:
    whole = write_clip(folder / f"whole.{kind}", times=range(0, 1800, 20), size=(96, 128))
    if kind == "mp4":  # as downloads are: the index first
        with (
            av.open(str(whole)) as source,
            av.open(str(folder / "fast.mp4"), "w", options={"movflags": "faststart"}) as output,
        ):
            stream = output.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    output.mux(packet)
        whole = folder / "fast.mp4"
    content = whole.read_bytes()
    path = folder / f"cut.{kind}"
    path.write_bytes(content[: len(content) * 6 // 10])
    return path


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_of_a_video_that_is_cut_off_the_beginning_is_kept(
    tmp_path: Path, weights: Weights, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = cut_off(tmp_path, kind)
    out = tmp_path / "out"
    assert predict(path, weights["segmentation"], out) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert said[0] == "1 videos failed:"
    assert f"cut.{kind} is cut off" in said[1]
    assert len(said) == 2
    assert 10 < len(read_times(out / "overlay/cut.segmentation.mp4")) < 90
    assert len(json.loads((out / "json/cut.json").read_text())) > 10


def test_what_is_no_video_is_said_in_a_line(
    tmp_path: Path, weights: Weights, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.mp4").write_text("no video" * 100)
    (tmp_path / "empty.mp4").touch()
    with av.open(str(tmp_path / "sound.mp4"), "w") as output:
        tone = output.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        output.mux(tone.encode(frame))
        output.mux(tone.encode())
    for name, reason in (("text", "cannot be read as a video"), ("empty", "is empty"),
                         ("sound", "holds no video"), ("missing", "No such file")):  # fmt: skip
        out = tmp_path / f"out_{name}"
        assert predict(tmp_path / f"{name}.mp4", weights["segmentation"], out) == 1
        said = capsys.readouterr().err.strip().splitlines()
        assert reason in said[-1]
        assert len(said) == 2
        assert sorted(p.name for p in out.iterdir()) == ["predict.json"]


def test_a_camera_that_is_not_there(
    tmp_path: Path, weights: Weights, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("98", weights["segmentation"], tmp_path / "out") == 1
    assert "camera 98" in capsys.readouterr().err


class FakeCapture:
    """A camera that gives an image in 5 ms and, in the fifth, is interrupted."""

    count = 0

    def __init__(self, number: int) -> None:
        self.number = number

    def isOpened(self) -> bool:  # noqa: N802  # as OpenCV names it
        return True

    def release(self) -> None:
        pass

    def read(self) -> tuple[bool, NDArray[np.uint8]]:
        time.sleep(0.005)
        FakeCapture.count += 1
        if FakeCapture.count == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return FakeCapture.count < 100, image_of(FakeCapture.count, (48, 64))


def test_what_a_camera_recorded_before_ctrl_c_is_kept(
    tmp_path: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sapiens_lab.inference.video.camera.sys.platform", "darwin")
    monkeypatch.setattr("cv2.VideoCapture", FakeCapture)
    FakeCapture.count = 0
    assert predict("7", weights["segmentation"], tmp_path / "out") == 0
    images = read_images(tmp_path / "out/overlay/camera_7.segmentation.mp4")
    assert 4 <= len(images) <= 8
    assert (np.diff(read_times(tmp_path / "out/overlay/camera_7.segmentation.mp4")) > 0).all()
    assert len(json.loads((tmp_path / "out/json/camera_7.json").read_text())) == len(images)


def interrupting(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Find a person, but press Ctrl-C at the sixth frame."""
    if image[-1, -1].mean() > 40 + 5 * 5 - 2:
        os.kill(os.getpid(), signal.SIGINT)
    return np.array([[2, 2, 30, 44]], np.float32)


def test_ctrl_c_leaves_no_half_of_a_video(tmp_path: Path, weights: Weights) -> None:
    path = write_clip(tmp_path / "a.mp4", times=range(0, 2000, 20))
    options = ("--detector", f"{__name__}.interrupting")
    assert predict(path, weights["pose"], tmp_path / "out", *options) == 130
    left = [p.name for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert left == ["predict.json"]


def test_damaged_bytes_never_raise_anything_else(tmp_path: Path) -> None:
    content = write_clip(tmp_path / "a.mp4").read_bytes()
    rng = np.random.default_rng(0)
    num_refused = 0
    for number in range(60):
        damaged = np.frombuffer(content, np.uint8).copy()
        places = rng.integers(0, len(damaged), 1 + number // 2)
        damaged[places] = rng.integers(0, 256, len(places))
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(damaged.tobytes())
        try:
            for frame in frames_of(path):
                frame.read()
        except (ValueError, OSError):
            num_refused += 1
    assert 10 < num_refused <= 60


def test_a_header_of_too_many_pixels_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.avi", codec="rawvideo")
    content = path.read_bytes()
    at = content.index(b"strf") + 12  # width and height of its BITMAPINFOHEADER, 32 bits each
    assert content[at : at + 8] == bytes([64, 0, 0, 0, 48, 0, 0, 0])
    path.write_bytes(content[:at] + (9000).to_bytes(4, "little") * 2 + content[at + 8 :])
    with pytest.raises(TooLargeError, match="9000 x 9000 pixels"):
        open_video(str(path), VideoSettings())
    path.write_bytes(content[:at] + (60_000).to_bytes(4, "little") * 2 + content[at + 8 :])
    with pytest.raises(ValueError, match="no size that a video can have"):
        open_video(str(path), VideoSettings())


def test_the_limit_holds_for_frames_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "a.mp4")
    monkeypatch.setattr("sapiens_lab.limits.MAX_PIXELS", 48 * 64 - 1)
    with pytest.raises(TooLargeError, match="48 x 64 pixels"):
        open_video(str(path), VideoSettings())


def test_without_pyav_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "a.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    with pytest.raises(ImportError, match=r"sapiens-lab\[video\]"):
        open_video(str(path), VideoSettings())
