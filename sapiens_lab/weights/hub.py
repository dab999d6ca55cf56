"""From a name to a file on this machine: released models and the hub, through its own client.

The client keeps the cache, continues broken downloads, shows the progress and honors
``HF_ENDPOINT``, ``HF_HOME`` and ``HF_HUB_OFFLINE``. What is added here is what a person needs to
know when it fails.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import re
import shutil
import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from sapiens_lab.weights.catalog import find_release, list_models, near_names
from sapiens_lab.weights.families import Release

log = logging.getLogger(__name__)

_HUB = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:/(.+))?")  # hf://owner/repo or hf://owner/repo/file
_EXPORT = ("config.json", "model.safetensors")  # what a repository of ours holds
_SECONDS = 5  # for a connection to the hub
_SUFFIXES = {".pth", ".pt", ".pt2", ".ckpt", ".safetensors", ".bin"}


def locate(source: str | Path) -> tuple[Path, Release | None]:
    """Return the file or folder that ``source`` means, downloading it if it is a name.

    Args:
        source: a path, a name of the catalog, ``hf://owner/repo`` (an export that was published)
            or ``hf://owner/repo/file``.

    Raises:
        FileNotFoundError: neither a file nor a name; the message lists the nearest names.
        ValueError: the hub refused, or the file that came is not the released one.
        OSError: there is no room for it.
    """
    path = Path(source).expanduser()
    if path.exists():
        return path, _release_of_file(path)
    text = str(source)
    if release := find_release(text):
        return fetch(release), release
    if match := _HUB.fullmatch(text):
        repo, file = match.groups()
        found = [_download(repo, name, "main") for name in ([file] if file else _EXPORT)]
        return (found[0] if file else found[0].parent), None
    if path.suffix in _SUFFIXES or "/" in text:
        raise FileNotFoundError(f"weights={source}: there is no such file (from {Path.cwd()})")
    near = near_names(text)
    raise FileNotFoundError(
        f"weights={source}: there is no such file, and no released model of that name"
        + (f"; did you mean {' or '.join(near)}?" if near else ".")
        + " `sapiens weights list` names them all"
    )


def fetch(release: Release) -> Path:
    """Return the file of a released model, downloading it once.

    Raises:
        ValueError: the hub refused; says which page to visit. Or the checksum is another.
        OSError: there is no room for it.
    """
    _check_room(release)
    path = _download(release.repo, release.file, release.revision)
    if release.sha256 is not None and _sha256(path) != release.sha256:
        raise ValueError(
            f"{path} is not the released {release.name}: its checksum is another. Delete it and "
            "download it again"
        )
    _show_license(release)
    return path


def cached(release: Release) -> Path | None:
    """Return the file of a released model if it is on this machine; nothing is downloaded."""
    found = try_to_load_from_cache(release.repo, release.file, revision=release.revision)
    return Path(found) if isinstance(found, str) else None


def hub_cache() -> Path:
    """Return the folder of what was downloaded."""
    return Path(constants.HF_HUB_CACHE)


def _download(repo: str, file: str, revision: str) -> Path:
    page = f"https://huggingface.co/{repo}"
    try:
        # Without a network the client would try for half a minute; from its cache it takes no time.
        return Path(
            hf_hub_download(repo, file, revision=revision, local_files_only=not is_reachable())
        )
    except GatedRepoError as error:
        raise ValueError(
            f"{repo} asks for consent: visit {page}, accept its terms, then log in with "
            "`hf auth login` or set HF_TOKEN"
        ) from error
    except RepositoryNotFoundError as error:  # what the hub also says of private ones
        raise ValueError(
            f"the hub has no {repo}, or it is private: visit {page}, and log in with "
            "`hf auth login` if you have access"
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise ValueError(
            f"{file} of {repo} is not on this machine and the hub cannot be reached (is "
            f"HF_HUB_OFFLINE set? is there a network?). Download it from {page} elsewhere and give "
            "its path"
        ) from error
    except EntryNotFoundError as error:
        raise ValueError(f"{repo} has no file {file}; see {page}/tree/{revision}") from error
    except HFValidationError as error:
        raise ValueError(f"{repo} is not the id of a repository: {error}") from error
    except HfHubHTTPError as error:
        raise ValueError(f"the hub refused {file} of {repo}: {error}; see {page}") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OSError(
                errno.ENOSPC,
                f"no room left for {file} in {constants.HF_HUB_CACHE}; make room, or set "
                "HF_HOME to a larger disk. The part that came is kept",
            ) from error
        raise ValueError(f"the download of {file} from {page} broke off: {error}") from error


def is_reachable() -> bool:
    """Tell whether the hub answers; behind a proxy that is left to the client."""
    if getproxies():
        return True
    address = urlsplit(constants.ENDPOINT)
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        socket.create_connection((address.hostname or "", port), timeout=_SECONDS).close()
    except OSError:
        return False
    return True


def _check_room(release: Release) -> None:
    """Say before a download of gigabytes that they will not fit."""
    cache = Path(constants.HF_HUB_CACHE)
    folder = next(p for p in (cache, *cache.parents) if p.exists())
    free = shutil.disk_usage(folder).free / 1e9
    known = any(cache.glob(f"models--{release.repo.replace('/', '--')}/snapshots/*/{release.file}"))
    if release.gb is not None and not known and free < release.gb:
        raise OSError(
            errno.ENOSPC,
            f"{release.name} has {release.gb:g} GB and {folder} has {free:.1f} GB left; make room, "
            "or set HF_HOME to a larger disk",
        )


def _show_license(release: Release) -> None:
    """Say once on this machine under which terms the weights come."""
    marker = Path(constants.HF_HUB_CACHE) / f".sapiens_lab_{release.license}"
    if not marker.exists():
        log.warning(
            "the weights of %s are licensed %s (see %s): for non-commercial use. What you train "
            "from them keeps these terms. This is said once.",
            release.name,
            release.license,
            release.page,
        )
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()


def _release_of_file(path: Path) -> Release | None:
    """Know a released file by its name, wherever it lies; its tensors are read all the same."""
    stem = re.sub(r"_(torchscript|bfloat16)$", "", path.stem)
    return next((r for r in list_models() if Path(r.file).stem == stem), None)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 24):
            digest.update(block)
        return digest.hexdigest()
