"""A softmax network from scratch, on MNIST.

The tutorial that xpnet grew from, through the public interface: 50 logistic units,
softmax, cross-entropy, plain gradient descent on all 60,000 images at once. The figures
that it printed stand beside ours. A thousand iterations take some minutes.

MNIST is read from the folder of its four files, ``--data-home`` or the environment
variable XPNET_DATA; without either, scikit-learn fetches it from OpenML.
"""

import argparse
import math

from matplotlib.figure import Figure

from xpnet import MLPClassifier
from xpnet.cli import tutorial
from xpnet.datasets import load_mnist
from xpnet.exceptions import DataError


def train(clf, X, y):
    """Train, print the table, and return the costs and whether each row agrees."""
    costs, agree = [], []
    print(tutorial.HEADER)
    for i, epoch in enumerate(clf.iter_fit(X, y)):
        costs.append(epoch.loss / 10)  # the mean over the ten classes, too
        if i in tutorial.TABLE:
            row = tutorial.Row(costs[-1], 100 * clf.score(X, y))  # after the update
            agree.append(all(map(close, row, tutorial.TABLE[i])))
            print(tutorial.line(i, row), "agrees" if agree[-1] else "DIFFERS", sep="  ")
    return costs, agree


def close(ours, printed):
    """Whether a number is that of the tutorial, to rounding."""
    return math.isclose(ours, printed, rel_tol=1e-9)


def plot(costs, path):
    """Draw the cost of every tenth iteration."""
    figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
    ax = figure.add_subplot(
        xlabel="iteration", ylabel="cost", ylim=(0, 1.05 * costs[0])
    )
    ax.plot(range(0, len(costs), 10), costs[::10])
    ax.margins(x=0.02)
    ax.grid(alpha=0.3)
    figure.savefig(path)
    print(f"The cost curve is in {path}.")


def main():
    parser = argparse.ArgumentParser(description="A softmax network from scratch.")
    parser.add_argument("--data-home", help="folder of the four files of MNIST")
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--backend", help="where to train; by default NumPy")
    parser.add_argument("--plot", metavar="FILE", default="softmax_from_scratch.png")
    args = parser.parse_args()
    try:
        mnist = load_mnist(args.data_home)
    except DataError as error:
        parser.error(str(error))

    clf = MLPClassifier(**tutorial.SETTINGS)
    clf.set_params(max_iter=args.iterations, backend=args.backend)
    costs, agree = train(clf, mnist.X_train / 255, mnist.y_train)
    accuracy = 100 * clf.score(mnist.X_test / 255, mnist.y_test)
    print(f"After {len(costs)} iterations, test accuracy is {accuracy:.2f} %.")
    if len(costs) == 1000:
        print(f"The tutorial's is {tutorial.FINAL_TEST_ACCURACY} %.")
        agree.append(close(accuracy, tutorial.FINAL_TEST_ACCURACY))
    plot(costs, args.plot)
    assert all(agree)


if __name__ == "__main__":
    main()
