"""Look into images all over a dataset before a run starts."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from sapiens_lab.data.checks import images as checks
from sapiens_lab.data.checks.finding import OnError, of_rows, settle
from sapiens_lab.data.checks.images import ImageFacts
from sapiens_lab.data.checks.sampling import spread
from sapiens_lab.data.images import decode, is_jpeg, is_patched, read_content, size_of

_LARGE = 1 << 23  # bytes of a file that is not decoded for a look


def check_images(
    paths: Sequence[Path],
    *,
    stated: Sequence[tuple[float, float] | None] | None = None,
    source: object,
    on_error: OnError,
) -> None:
    """Check headers and contents of some of the images.

    Args:
        paths: of all images.
        stated: (height, width) of each as annotations have them.
        source: the file or folder for messages.
        on_error: ``skip`` logs images that cannot be read.

    Raises:
        ValueError: some cannot be read or have another size than is stated; names them.
    """
    indices = spread(len(paths))
    facts: list[ImageFacts] = []
    sizes = []
    messages = []
    for i in indices:
        try:
            facts.append(look_at(paths[i]))
            sizes.append(stated[i] if stated else None)
            messages.append("")
        except (ValueError, FileNotFoundError) as error:
            messages.append(str(error))
    faults = [
        of_rows(
            "error",
            [bool(message) for message in messages],
            "images that were looked into cannot be read",
            name=lambda i: messages[i],
            remedy="",
        ),
        checks.check_broken(facts),
        checks.check_stated_sizes(facts, sizes),
        checks.check_small(facts),
        checks.check_animated(facts),
    ]
    settle(faults, source=source, on_error=on_error)


def look_at(path: Path) -> ImageFacts:
    """Return what an image's file says about itself.

    Raises:
        FileNotFoundError, ValueError: it cannot be read; names it.
    """
    content = read_content(path)
    size = size_of(content, path)
    if len(content) < _LARGE and not is_jpeg(content):
        decode(content, path)
    stored, frames = _header(content)
    return ImageFacts(
        name=path.name,
        size=size,
        is_rotated=stored is not None and stored == (size[1], size[0]) != size,
        num_frames=frames,
        is_broken=is_jpeg(content) and is_patched(content, path),
    )


def _header(content: bytes) -> tuple[tuple[int, int] | None, int]:
    """Return (height, width) as stored and the number of frames."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            is_moving = image.format in ("GIF", "WEBP", "PNG")
            frames = int(getattr(image, "n_frames", 1)) if is_moving else 1
            return (image.height, image.width), frames
    except (OSError, SyntaxError, ValueError):  # a format that only OpenCV knows
        return None, 1
