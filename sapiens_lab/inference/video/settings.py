"""``VideoSettings``: which part of a video, and what is carried from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass

from sapiens_lab.ranges import Count, NonNegative, Positive


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSettings:
    """What is done with a video. By default every frame stands alone.

    Args:
        start_s: where to begin.
        end_s: where to end; at the end of the video by default.
        stride: take every so many frames; the others are left out, times stay as they are.
        track: give people numbers that last.
        detect_every: look for people in every so many of the frames; in between their boxes move
            on with the speed that they had.
        smooth: the One-Euro filter for boxes and keypoints.
        cutoff_hz: of the filter for what rests; lower trembles less.
        beta: how much the cutoff rises with the speed in person's sizes per second; higher lags
            less.
        smooth_maps_s: how far back the mean of depth and normals reaches; 0 takes none.

    Raises:
        ValueError: a number is out of its range.
    """

    start_s: NonNegative = 0.0
    end_s: NonNegative | None = None
    stride: Count = 1
    track: bool = False
    detect_every: Count = 1
    smooth: bool = False
    cutoff_hz: Positive = 1.0
    beta: NonNegative = 10.0
    smooth_maps_s: NonNegative = 0.0

    def __post_init__(self) -> None:
        if self.start_s < 0 or (self.end_s is not None and self.end_s <= self.start_s):
            raise ValueError(
                f"a video cannot be taken from {self.start_s:g} s to {self.end_s} s: the start is "
                "0 or later, and the end after it"
            )
        if min(self.stride, self.detect_every) < 1:
            raise ValueError("stride and detect_every are whole numbers from 1")
        if not (self.cutoff_hz > 0 and self.beta >= 0 and self.smooth_maps_s >= 0):
            raise ValueError("cutoff_hz is above 0, beta and smooth_maps_s are 0 or more")

    @property
    def follows_people(self) -> bool:
        """Whether a tracker is needed."""
        return self.track or self.smooth or self.detect_every > 1
