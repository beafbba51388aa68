"""Trained models in files: safetensors with the configuration in the header.

A file holds numbers and text, and nothing that runs when it is read. All arrays of
numbers are tensors, named after the attribute they come from (``coefs_.0``); the
header's metadata has one entry, ``xpnet``, with the rest as JSON::

    {"format_version": 1, "xpnet_version": …, "sha256": …,
     "model": {"class": "MLPClassifier", "params": {…}, "fitted": {…}}}

For a pipeline, ``model`` is the list of its ``[name, model]``, and the names of its
tensors begin with the step's. A checkpoint of a training has ``checkpoint`` instead.
The checksum is that of all the rest: of the other entries and of all tensors.
"""

import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from xpnet.backends import get_backend
from xpnet.exceptions import MissingDependencyError, ModelFileError
from xpnet.persistence._files import FilePath, check_writable, write_aside
from xpnet.persistence._packing import (
    Tensors,
    pack_model,
    pack_value,
    unpack_model,
    unpack_value,
)

__all__ = [
    "check_writable",
    "load",
    "read_checkpoint",
    "read_config",
    "save",
    "write_aside",
    "write_checkpoint",
]

FORMAT_VERSION = 1


def save(estimator: BaseEstimator, path: FilePath) -> None:
    """Save a fitted estimator.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or sklearn.pipeline.Pipeline
        Fitted; a pipeline of :class:`~sklearn.preprocessing.StandardScaler` and one of
        them, so that the model takes raw features. Parameters and fitted
        attributes are kept, but a `random_state` that is a generator becomes None.
    path : str or path-like
        The file, by custom ``*.safetensors``. One that exists is replaced when the new
        one is complete.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        The estimator is not fitted.
    TypeError
        It is, or has, something that a model file doesn't hold.
    FileWriteError
        The file can't be written.
    MissingDependencyError
        safetensors is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from xpnet import MLPClassifier
    >>> X, y = np.asarray([[0.0, 1.0], [1.0, 0.0]]), np.asarray(["no", "yes"])
    >>> clf = MLPClassifier((4,), learning_rate_init=0.1, random_state=0)
    >>> for epoch in clf.iter_fit(X, y):
    ...     pass
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(clf, f"{folder}/model.safetensors")
    ...     load(f"{folder}/model.safetensors").predict(X)
    array(['no', 'yes'], dtype='<U3')
    """
    tensors: Tensors = {}
    _write(path, "model", pack_model(estimator, tensors), tensors)


def load(path: FilePath, backend: str | None = None) -> Any:
    """Load an estimator that :func:`save` wrote.

    Parameters
    ----------
    path : str or path-like
        The file.
    backend : str or None, default=None
        Where the network is to live, a name that :func:`xpnet.get_backend` takes; the
        estimator's parameter `backend` becomes the same. With None it lives on NumPy
        and follows `X`, wherever it was trained: what a GPU learnt, a machine without
        one can load.

    Returns
    -------
    MLPClassifier, MLPRegressor or sklearn.pipeline.Pipeline
        Fitted. On NumPy its predictions equal those of the one that was saved from
        there, bit by bit.

    Raises
    ------
    ModelFileError
        The file is no model, or is cut short, damaged or of a newer format.
    OSError
        It can't be opened.
    ImportError
        The backend can't be used, or safetensors is not installed.
    """
    get_backend(backend or "numpy")  # a wrong name fails before the file is read
    config, tensors = _read(path, "model")
    try:
        model = unpack_model(config["model"], tensors, backend)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        msg = (
            f"{path} is a model of xpnet {config.get('xpnet_version')}, but can't be "
            f"used: {error}. Save it again; if it is from a newer xpnet, upgrade: "
            "pip install --upgrade xpnet."
        )
        raise ModelFileError(msg) from error
    return model


def read_config(path: FilePath) -> dict[str, Any]:
    """Read the configuration of a model file, and no model.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    dict
        `format_version`, an int, `xpnet_version`, of the xpnet that wrote it, and
        `model`, as the module's documentation has it.

    Raises
    ------
    ModelFileError
        The file is no model, or is cut short, damaged or of a newer format.
    OSError
        It can't be opened.
    MissingDependencyError
        safetensors is not installed.
    """
    return _read(path, "model")[0]


def write_checkpoint(
    path: FilePath, state: dict[str, Any], previous: FilePath | None = None
) -> None:
    """Write the state of a training.

    Parameters
    ----------
    path : str or path-like
        The file; one that exists is replaced when the new one is complete.
    state : dict
        Numbers, text, arrays of any library, and lists, tuples and dicts of them.
    previous : str or path-like, optional
        What the file that was there is called afterwards, in the same folder.

    Raises
    ------
    TypeError
        The state has something else.
    FileWriteError
        The file can't be written.
    MissingDependencyError
        safetensors is not installed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_checkpoint(f"{folder}/run.ckpt", {"n_iter": 3, "loss": float("inf")})
    ...     read_checkpoint(f"{folder}/run.ckpt")
    {'n_iter': 3, 'loss': inf}
    """
    tensors: Tensors = {}
    packed = pack_value(state, "checkpoint", tensors)
    _write(path, "checkpoint", packed, tensors, previous)


def read_checkpoint(path: FilePath) -> dict[str, Any]:
    """Return what :func:`write_checkpoint` wrote.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    dict
        The state; its arrays are NumPy's.

    Raises
    ------
    ModelFileError
        The file is no checkpoint, or is cut short, damaged or of a newer format.
    OSError
        It can't be opened.
    MissingDependencyError
        safetensors is not installed.
    """
    config, tensors = _read(path, "checkpoint")
    state: dict[str, Any] = unpack_value(config["checkpoint"], tensors)
    return state


def _write(
    path: FilePath,
    kind: str,
    packed: Any,
    tensors: Tensors,
    previous: FilePath | None = None,
) -> None:
    """Write a model or a checkpoint, with its checksum."""
    config: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "xpnet_version": importlib.metadata.version("xpnet"),
        kind: packed,
    }
    config["sha256"] = _checksum(config, tensors)
    metadata = {"xpnet": json.dumps(config, ensure_ascii=False, allow_nan=False)}
    write_aside(path, _safetensors().numpy.save(tensors, metadata), previous)


def _read(path: FilePath, kind: str) -> tuple[dict[str, Any], Tensors]:
    """Read what is whole and of that kind; the checksum is left out."""
    safetensors = _safetensors()
    with Path(path).open("rb"):  # the system's own error where it can't be
        pass
    try:
        with safetensors.safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        msg = (
            f"{path} is not a complete safetensors file: {error}. It was cut short, or "
            "is no model; give a file that xpnet saved."
        )
        raise ModelFileError(msg) from error
    try:
        config = json.loads(metadata["xpnet"])
        version = int(config["format_version"])
    except (LookupError, TypeError, ValueError) as error:
        msg = (
            f"{path} is a safetensors file, but not one that xpnet saved: it has no "
            "configuration of xpnet in its header."
        )
        raise ModelFileError(msg) from error
    if version > FORMAT_VERSION:
        msg = (
            f"{path} has format version {version}, of xpnet "
            f"{config.get('xpnet_version')}; this one reads up to {FORMAT_VERSION}. "
            "Upgrade it: pip install --upgrade xpnet."
        )
        raise ModelFileError(msg)
    if config.pop("sha256", None) != _checksum(config, tensors):
        msg = (
            f"{path} is damaged: it doesn't hold what was saved, by its checksum. Take "
            "another copy of it, or save it again."
        )
        raise ModelFileError(msg)
    if kind not in config:
        what = "a model" if "model" in config else "a checkpoint of a training"
        msg = f"{path} holds no {kind}, but {what}: give another file."
        raise ModelFileError(msg)
    return config, tensors


def _checksum(config: dict[str, Any], tensors: Tensors) -> str:
    """Return a digest of all that a file holds."""
    digest = hashlib.sha256(json.dumps(config).encode())
    for name, array in sorted(tensors.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        msg = "Model files need safetensors: pip install 'xpnet[cli]'."
        raise MissingDependencyError(msg) from error
    return safetensors
