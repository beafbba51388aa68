"""Softmax multi-layer perceptrons, written once for NumPy, CuPy, torch and JAX."""

from xpnet.backends import Backend, available_backends, get_backend
from xpnet.classifier import MLPClassifier
from xpnet.inspection import doctor, summary
from xpnet.persistence import load, save
from xpnet.regressor import MLPRegressor

__all__ = [
    "Backend",
    "MLPClassifier",
    "MLPRegressor",
    "available_backends",
    "doctor",
    "get_backend",
    "load",
    "save",
    "summary",
]

__version__ = "0.1.0.dev0"
