"""Files that are what they seem: no link, pipe or device that somebody has put in their place is read or written."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
}
# What Windows lacks is not needed there: it has neither pipes among files nor links that anybody may make.
_NOT_THROUGH_LINKS: int = getattr(os, "O_NOFOLLOW", 0)
_WITHOUT_WAITING: int = getattr(os, "O_NONBLOCK", 0)


def open_file(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a regular file and return its descriptor; a link to one is followed unless it is opened to be written.

    Never waits for the other end of a pipe. Raises OSError with a cause such as "it is a pipe, not a file".
    """
    writes = flags & (os.O_WRONLY | os.O_RDWR)
    _check_name(path, follow=not writes)
    descriptor = os.open(path, flags | _WITHOUT_WAITING | (_NOT_THROUGH_LINKS if writes else 0), 0o666)
    try:
        _check(path, os.fstat(descriptor).st_mode)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_file(path: Path, at_most: int | None = None) -> bytes:
    """Return the content of a regular file; OSError if it is none, cannot be read or has more bytes than `at_most`."""
    with open(open_file(path), "rb") as file:
        content = file.read(-1 if at_most is None else at_most + 1)
    if content is None:  # a file of the kernel's that would be waited for
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(path))
    if at_most is not None and len(content) > at_most:
        raise OSError(errno.EFBIG, f"it has more than {at_most} bytes", str(path))
    return content


def check_file(path: Path) -> None:
    """Raise OSError for what is no regular file, before a library opens it and waits for the other end of a pipe."""
    _check_name(path, follow=True)


def open_own_log(path: Path) -> int:
    """Open a file of ours to append to it, made if it is missing, and return its descriptor.

    What is no file of its own there, such as a link or a second name of another file, is removed first; a folder is set
    aside.
    """
    with suppress(OSError):
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode):
            set_aside(path)
        elif not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            path.unlink()
    return open_file(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def make_own_folder(path: Path) -> None:
    """Make a folder of ours and those above it; a link in its place is removed, and its target is left alone."""
    if path.is_symlink():
        path.unlink(missing_ok=True)
    path.mkdir(parents=True, exist_ok=True)


def make_way_for_folder(path: Path) -> None:
    """Make a folder of ours as `make_own_folder` does; a file that lies in its place is set aside."""
    if not path.is_symlink() and path.exists() and not path.is_dir():
        set_aside(path)
    make_own_folder(path)


def set_aside(path: Path) -> Path:
    """Rename a bad file, or what is none, so that it is out of the way and can be examined; return its new path.

    Raises OSError where the folder is read-only.
    """
    aside = path.with_name(f"{path.name}.corrupt")
    if aside.is_dir() or (path.is_dir() and aside.exists()):  # neither replaces the other
        aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.corrupt")
    return path.replace(aside)


def make_private_folder(path: Path) -> None:
    """Make a folder that nobody but this user can enter; OSError where there is another kind of folder already."""
    with suppress(FileExistsError):
        path.mkdir(0o700)
    if sys.platform == "win32":
        return
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise OSError(errno.EPERM, "it is no folder that only this user can enter", str(path))


def _check_name(path: Path, *, follow: bool) -> None:
    with suppress(FileNotFoundError):
        _check(path, os.stat(path, follow_symlinks=follow).st_mode)


def _check(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", str(path))
