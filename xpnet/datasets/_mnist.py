"""MNIST, and the format of its files."""

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from sklearn.datasets import fetch_openml

from xpnet.exceptions import DataError

HostArray: TypeAlias = np.ndarray[Any, Any]
FilePath: TypeAlias = str | os.PathLike[str]

IDX_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
"""The type byte of an IDX header, and what it stands for."""


class Mnist(NamedTuple):
    """The MNIST images of handwritten digits, flattened, and their labels."""

    X_train: HostArray
    """Shape (60000, 784), uint8."""
    y_train: HostArray
    """Shape (60000,), uint8, in 0 … 9."""
    X_test: HostArray
    """Shape (10000, 784), uint8."""
    y_test: HostArray
    """Shape (10000,), uint8, in 0 … 9."""


def read_idx(path: FilePath) -> HostArray:
    """Read a file in the IDX format, in which MNIST is published.

    Two zero bytes, one for the type and one for the number of dimensions; the sizes as
    big-endian 32-bit numbers; the values.

    Parameters
    ----------
    path : str or path-like
        The file, compressed with gzip or not, whatever its name.

    Returns
    -------
    ndarray
        Of the shape and type that the file states, in native byte order.

    Raises
    ------
    DataError
        The file is damaged, cut short, too long, or no IDX file.
    OSError
        It can't be opened.

    References
    ----------
    .. [1] Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten
       digits", http://yann.lecun.com/exdb/mnist/

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     size = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]))
    ...     file.flush()
    ...     read_idx(file.name)
    array([5, 0, 4], dtype=uint8)
    """
    data = Path(path).read_bytes()
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise _damaged(path, f"its gzip compression is broken ({error})") from error
    n_dims = data[3] if len(data) > 3 else 0
    header = 4 + 4 * n_dims
    if data[:2] != b"\0\0" or len(data) < header or data[2] not in IDX_DTYPES:
        found = data[:4].hex(" ") or "nothing"
        expected = "an IDX file begins with 00 00, a type and a number of dimensions"
        raise _damaged(path, f"{expected}; this one begins with {found}")
    dtype = np.dtype(IDX_DTYPES[data[2]])
    shape = tuple(np.frombuffer(data, ">u4", n_dims, offset=4).tolist())
    n_bytes = header + math.prod(shape) * dtype.itemsize
    if len(data) != n_bytes:
        what = "cut short" if len(data) < n_bytes else "too long"
        sizes = f"shape {shape} takes {n_bytes:,} bytes, found {len(data):,}"
        raise _damaged(path, f"it is {what}: {sizes}")
    values = np.frombuffer(data, dtype, offset=header).reshape(shape)
    return values.astype(dtype.newbyteorder("="))


def load_mnist(data_home: FilePath | None = None) -> Mnist:
    """Load MNIST from its four files, or through OpenML.

    Parameters
    ----------
    data_home : str or path-like, optional
        A folder with ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``,
        ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, compressed (``.gz``)
        or not. By default the one that the environment variable ``XPNET_DATA`` names;
        where neither does, :func:`sklearn.datasets.fetch_openml` fetches the data once
        and keeps it.

    Returns
    -------
    Mnist
        ``X_train, y_train, X_test, y_test``, all of dtype uint8.

    Raises
    ------
    DataError
        A file is missing or damaged, images and labels don't match, or the download
        failed.
    """
    folder = data_home or os.environ.get("XPNET_DATA")
    if not folder:
        return _fetch_mnist()
    return Mnist(
        *_mnist_part(Path(folder), "train"), *_mnist_part(Path(folder), "t10k")
    )


def _mnist_part(folder: Path, part: str) -> tuple[HostArray, HostArray]:
    images_path = _mnist_file(folder, f"{part}-images-idx3-ubyte")
    labels_path = _mnist_file(folder, f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
        found = f"{images.dtype} of shape {images.shape}"
        raise _damaged(images_path, f"expected uint8 of shape (n, 28, 28), got {found}")
    if labels.dtype != np.uint8 or labels.ndim != 1 or labels.max(initial=0) > 9:
        found = f"{labels.dtype} of shape {labels.shape} up to {labels.max(initial=0)}"
        raise _damaged(labels_path, f"expected n uint8 labels in 0 … 9, got {found}")
    if len(images) != len(labels):
        counts = f"{len(labels):,} labels for the {len(images):,} images"
        raise _damaged(labels_path, f"it holds {counts} of {images_path.name}")
    return images.reshape(-1, 28 * 28), labels


def _mnist_file(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    msg = (
        f"{folder} has no file {name} or {name}.gz. Put the four MNIST files there, or "
        "name another folder (--data-home, data_home= or XPNET_DATA); without one, "
        "they are downloaded."
    )
    raise DataError(msg)


def _fetch_mnist() -> Mnist:
    try:
        X, y = fetch_openml("mnist_784", version=1, as_frame=False, return_X_y=True)
    except (ImportError, OSError, ValueError) as error:
        msg = (
            f"MNIST could not be fetched from OpenML: {error}. Without a network, put "
            "the four files (train-images-idx3-ubyte.gz …) into a folder and name it: "
            "--data-home FOLDER, data_home= or the environment variable XPNET_DATA."
        )
        raise DataError(msg) from error
    X, y = X.astype(np.uint8), y.astype(np.uint8)
    return Mnist(X[:60_000], y[:60_000], X[60_000:], y[60_000:])


def _damaged(path: FilePath, problem: str) -> DataError:
    return DataError(f"{path} can't be used: {problem}. Fetch the file again.")
