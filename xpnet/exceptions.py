"""The errors of xpnet.

Each derives from :class:`XpnetError` and from the built-in class a caller would catch.
"""

__all__ = [
    "BackendUnavailableError",
    "CallbackError",
    "DataError",
    "DivergenceError",
    "FileWriteError",
    "GradientError",
    "MissingDependencyError",
    "ModelFileError",
    "OnnxExportError",
    "StaleFitError",
    "UnknownBackendError",
    "XpnetError",
]


class XpnetError(Exception):
    """Base class of the errors of xpnet."""


class StaleFitError(XpnetError, RuntimeError):
    """The estimator, or a callback, has turned to another training since."""


class UnknownBackendError(XpnetError, ValueError):
    """The name is not that of a backend."""


class BackendUnavailableError(XpnetError, ImportError):
    """The backend is known, but can't be used on this machine."""


class GradientError(XpnetError, ValueError):
    """A derivative does not fit its function."""


class MissingDependencyError(XpnetError, ImportError):
    """A package that an extra of xpnet brings is not installed."""


class DataError(XpnetError, ValueError):
    """The data can't be trained on, predicted from or read."""


class DivergenceError(XpnetError, ValueError):
    """Training left the finite numbers."""


class ModelFileError(XpnetError, ValueError):
    """The file is not a model that xpnet can read."""


class OnnxExportError(XpnetError, ValueError):
    """The model has no form in ONNX."""


class CallbackError(XpnetError, ValueError):
    """A callback can't follow this training."""


class FileWriteError(XpnetError, OSError):
    """A file could not be written; one that was there before is unharmed."""
