"""Regression with uncertainty.

A noisy sine, whose noise grows to the right. With ``loss="gaussian_nll"`` the network
learns the mean and the standard deviation at each point, and of new samples as many lie
within one and two of them as a normal distribution says.
"""

import argparse

import numpy as np

from xpnet import MLPRegressor


def noise(x):
    """Return the standard deviation that the network has to find."""
    return 0.05 + 0.06 * x


def sample(n_samples, rng):
    """Draw a noisy sine on [0, 6]."""
    X = rng.uniform(0.0, 6.0, size=(n_samples, 1))
    return X, np.sin(X[:, 0]) + noise(X[:, 0]) * rng.normal(size=n_samples)


def plot(reg, X, y, path):
    """Draw samples, the mean, and two standard deviations around it."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    x = np.linspace(0.0, 6.0, 200)
    mean, std = reg.predict(x[:, None], return_std=True)
    figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
    ax = figure.add_subplot(xlabel="x", ylabel="y", xlim=(0.0, 6.0))
    ax.scatter(X[:, 0], y, s=4, color="0.6", label="samples")
    ax.plot(x, np.sin(x), "k--", linewidth=1, label="sine without noise")
    ax.plot(x, mean, color="C0", label="mean")
    low, high = mean - 2 * std, mean + 2 * std
    ax.fill_between(x, low, high, alpha=0.2, label="± 2 standard deviations")
    ax.legend(loc="lower left", frameon=False)
    figure.savefig(path)
    print(f"The picture is in {path}.")


def main():
    parser = argparse.ArgumentParser(description="Regression with uncertainty.")
    parser.add_argument("--backend", help="where to train; by default, where X is")
    parser.add_argument("--plot", metavar="FILE", help="draw a picture, too")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    X, y = sample(1000, rng)
    X_test, y_test = sample(10_000, rng)

    reg = MLPRegressor(
        loss="gaussian_nll",
        hidden_layer_sizes=(32, 32),
        activation="tanh",
        learning_rate_init=0.01,
        early_stopping=True,
        scoring="loss",
        n_iter_no_change=30,
        backend=args.backend,
        random_state=0,
    )
    reg.fit(X, y)
    print(f"{reg.n_iter_} epochs, held-out loss {-reg.best_validation_score_:.3f}")

    mean, std = reg.predict(X_test, return_std=True)
    errors = np.abs(y_test - mean) / std
    one, two = np.mean(errors < 1), np.mean(errors < 2)
    print(f"within 1, 2 deviations: {one:.3f}, {two:.3f} (normal: 0.683, 0.954)")
    off = np.mean(np.abs(std / noise(X_test[:, 0]) - 1.0))
    print(f"standard deviations are off by {100 * off:.0f} % on average")
    if args.plot:
        plot(reg, X, y, args.plot)
    assert abs(one - 0.683) < 0.05
    assert off < 0.2


if __name__ == "__main__":
    main()
