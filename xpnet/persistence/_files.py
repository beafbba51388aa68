"""Files that are complete, or as they were before."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from xpnet.exceptions import FileWriteError

FilePath: TypeAlias = str | os.PathLike[str]


def write_aside(path: FilePath, data: bytes, previous: FilePath | None = None) -> None:
    r"""Write a file so that it is there complete, or as it was before.

    The data goes to a temporary file in the same folder, which then takes the name.

    Parameters
    ----------
    path : str or path-like
        The file; where it is a link, the file behind it.
    data : bytes
        All of it.
    previous : str or path-like, optional
        What the file that was there is called afterwards, in the same folder. At every
        moment one of the two is there, complete; what a process that is killed leaves
        of a third is replaced the next time.

    Raises
    ------
    FileWriteError
        The file can't be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_aside(f"{folder}/greeting", b"hello")
    ...     print(*Path(folder).iterdir(), sep="\n")
    /...greeting
    """
    token = secrets.token_hex(8) if previous is None else Path(path).name
    with _aside(path, token) as (temporary, target):
        with temporary.open("xb" if previous is None else "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
            if previous is not None:
                target.replace(previous)
        temporary.replace(target)
        _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Have the new names on the disk, where the system can."""
    with contextlib.suppress(OSError):  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_writable(path: FilePath) -> None:
    """Try whether :func:`write_aside` could write here, and leave nothing behind.

    Parameters
    ----------
    path : str or path-like
        The file; it is not touched.

    Raises
    ------
    FileWriteError
        It could not be written.
    """
    with _aside(path, secrets.token_hex(8)) as (temporary, _):
        temporary.touch(exist_ok=False)


@contextlib.contextmanager
def _aside(path: FilePath, token: str) -> Iterator[tuple[Path, Path]]:
    """Name a temporary file and its target; remove the one, and explain failures."""
    target = Path(path).resolve()
    temporary = target.with_name(f".xpnet-{token}.tmp")
    try:
        if not target.parent.is_dir():
            msg = f"there is no folder {target.parent}"
            raise FileNotFoundError(msg)
        if target.exists():
            if not target.is_file():  # a folder, or a device
                msg = "it is not a regular file"
                raise FileExistsError(msg)
            target.open("r+b").close()  # replacing would ignore a write protection
        yield temporary, target
    except OSError as error:
        msg = (
            f"{path} could not be written: {error.strerror or error}. Name another "
            "place, or make room; a file that was there before is unchanged."
        )
        raise FileWriteError(msg) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
