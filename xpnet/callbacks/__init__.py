"""Callbacks: what looks at a training between its epochs, stops it, or keeps it.

They follow scikit-learn's protocol, and are set on the network itself::

    MLPClassifier().set_callbacks(History(), EarlyStopping("validation_loss"))

scikit-learn's own, ``ProgressBar`` and ``ScoringMonitor``, are set the same way where
it is 1.9 or newer.
"""

from xpnet.callbacks._checkpoint import Checkpoint
from xpnet.callbacks._following import EarlyStopping, History, TimeLimit

__all__ = ["Checkpoint", "EarlyStopping", "History", "TimeLimit"]
