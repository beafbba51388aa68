"""Softmax multi-layer perceptrons, written once for NumPy, CuPy, torch and JAX."""

from xpnet.backends import Backend, available_backends, get_backend
from xpnet.classifier import MLPClassifier
from xpnet.persistence import load, save

__all__ = [
    "Backend",
    "MLPClassifier",
    "available_backends",
    "get_backend",
    "load",
    "save",
]

__version__ = "0.1.0.dev0"
