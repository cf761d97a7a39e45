"""SHA-256 of files, remembered in the cache folder by path, size and modification time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from .cache_folder import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

# A file changed this recently may change again without its modification time changing, so its hash is not kept.
SETTLING_NANOSECONDS = 2_000_000_000


class FileHash(NamedTuple):
    """The hash of a file, valid as long as its size in bytes and its modification time stay the same."""

    size: int
    modified: int
    digest: str


def file_hashes(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the SHA-256 in hexadecimal of each file; only files that are new or changed are read.

    Raises OSError for a file that is missing or cannot be read. A cache that cannot be read or written only costs time.
    """
    stats = {path: os.stat(path) for path in paths}
    if not stats:
        return {}
    store = _store_path(list(stats))
    known = _read_store(store)
    hashes: dict[Path, FileHash] = {}
    for path, stat in stats.items():
        kept = known.get(os.path.abspath(path))
        if kept and (kept.size, kept.modified) == (stat.st_size, stat.st_mtime_ns):
            hashes[path] = kept
    changed = [path for path in stats if path not in hashes]
    if changed:
        with ThreadPoolExecutor() as pool:
            for path, digest in zip(changed, pool.map(_digest, changed), strict=True):
                hashes[path] = FileHash(stats[path].st_size, stats[path].st_mtime_ns, digest)
        _write_store(store, known | {os.path.abspath(path): hashes[path] for path in changed})
    return {path: hashes[path].digest for path in stats}


def folder_hash(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of the files directly in a folder; OSError as `file_hashes`."""
    hashes = file_hashes(sorted(path for path in folder.iterdir() if path.is_file()))
    return hashlib.sha256("".join(f"{digest} {path.name}\n" for path, digest in hashes.items()).encode()).hexdigest()


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _store_path(paths: Sequence[Path]) -> Path:
    """Return the file that keeps the hashes of the folder that holds all `paths`."""
    folder = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return cache_folder() / "file_hashes" / f"{name}.json"


def _read_store(store: Path) -> dict[str, FileHash]:
    try:
        entries = json.loads(store.read_bytes())
        return {
            path: FileHash(int(size), int(modified), str(digest)) for path, (size, modified, digest) in entries.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write_store(store: Path, hashes: dict[str, FileHash]) -> None:
    """Replace the store in one move, so that a second process sees the old one or the new one."""
    settled = time.time_ns() - SETTLING_NANOSECONDS
    text = json.dumps({path: entry for path, entry in hashes.items() if entry.modified < settled})
    with contextlib.suppress(OSError):
        store.parent.mkdir(parents=True, exist_ok=True)
        _replace(store, text)


def _replace(store: Path, text: str) -> None:
    temporary = store.with_name(f".{store.name}-{uuid.uuid4().hex}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, store)
    finally:
        temporary.unlink(missing_ok=True)
