"""How close is close: the only place where a tolerance is a number.

The factors are those of :func:`xpnet.testing.assert_close`, by the depth of what was
computed. Beside each stands the largest one that was needed, over NumPy,
array-api-strict, torch and JAX on a CPU; each leaves ten times that or more. Gradients
meet central differences within a tenth of what ``check_gradients`` allows by default.
"""

EXACT = 0
ELEMENTWISE = 32  # 1.8: tanh by JAX
ONE_PASS = 64  # 2.7: the gradient of a network of silu, by JAX
TEN_STEPS = 250  # 11: momentum in float32
TWENTY_STEPS = 250  # 6.9: the five of a Newton-Schulz iteration in float64, by JAX
FITTED = 1_000  # 6.6: 198 steps of Adam in float32, by torch

TRAINED = 1e-3
"""Probabilities of a model trained in float32 on another library, relative."""

SUM_OF_PROBS = 1e-6
"""Probabilities that were printed in float32 sum to 1, relative."""

SIGMAS = 5
"""How far a moment of draws may be from its mean, in standard deviations."""

TRAJECTORY = 1e-10  # 7.0e-14
"""Thirty epochs of scikit-learn's, relative to the norm of the array."""

LBFGS = 1e-8  # 9.8e-11
"""Twenty iterations of scikit-learn's L-BFGS, likewise."""

DRIFTING = 0.1  # 0.017
"""Means of rows that are spread over an epoch, in standard deviations of the drift."""

REGRESSED = 5e-3  # 1.5e-3: a quantile near 0
"""A minimum that is known, as far as training goes towards it, relative."""

TUTORIAL_ON_NUMPY = 1e-10  # 5.0e-16
TUTORIAL_ELSEWHERE = 1e-9  # 3.5e-16
"""The costs that the tutorial printed, relative."""

GRADIENT = {"rtol": 1e-6, "atol": 1e-8}
"""Of central differences in float64, with steps of 1e-6; 9e-10 was needed."""

ROUNDING = {"rtol": 1e-14, "atol": 1e-16}
"""A few float64 operations on the host, in another order."""

RATES = {"rtol": 0.0, "atol": 1e-6}
"""Learning rates beside those of other libraries, which are recursions in float64, or
come in float32; 6e-8 was needed."""

CLIPPED = {"rtol": 1e-3}
"""The length that a gradient is clipped to, which 1e-6 is added to."""

HINTED = {"rtol": 1e-12}  # 0
"""A forward or backward pass in float64, in given buffers against without."""

ONNX = {
    "float32": {"rtol": 0.0, "atol": 1e-6},  # 4.8e-7; 8.9e-7 after longer training
    "float64": {"rtol": 0.0, "atol": 1e-13},  # 1.6e-15
}
"""What onnxruntime answers: probabilities, and numbers of the order of 1.

The factor 10 is not left in float32, where half the last digit of a logit is 5e-7.
"""

ONNX_FORMULA = {"rtol": 1e-13, "atol": 1e-14}
"""An elementwise function in float64, by onnxruntime."""

GPU_LOSSES = 1e-5
"""Twenty steps in float32 on a GPU, relative; not measured yet."""

GPU_STEPS = 1e-3
"""A hundred steps in float32, fused or captured against eager; not measured yet."""

MEASURED = {"rtol": 1e-3, "atol": 1e-6}
"""What the doctor measures on another library, in float32."""
