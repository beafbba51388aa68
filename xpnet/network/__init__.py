"""The chain of dense layers, its forward pass and its backward pass.

All parameters are one flat vector, weights first and then biases, in scikit-learn's
order ``W1 … WL, b1 … bL``: an optimiser updates one array, and L-BFGS sees the vector
it needs. The layers use its named views.
"""

from xpnet.network.chain import Buffers, Network
from xpnet.network.dense import Dense, LayerBuffers

__all__ = ["Buffers", "Dense", "LayerBuffers", "Network"]
