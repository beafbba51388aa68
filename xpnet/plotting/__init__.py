"""Pictures of training and of weights.

The displays follow scikit-learn's: ``from_…`` draws at once, ``plot`` draws again, and
the artists are attributes that end in an underscore. That of learning rates is
:class:`xpnet.inspection.LearningRateDisplay`.
"""

from xpnet.plotting._loss import LossCurveDisplay, plot_loss_curve
from xpnet.plotting._weights import FirstLayerDisplay

__all__ = ["FirstLayerDisplay", "LossCurveDisplay", "plot_loss_curve"]
