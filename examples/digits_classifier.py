"""Handwritten digits in a pipeline.

The estimator behind a scaler, as any of scikit-learn's, on the digits that scikit-learn
brings.
"""

import argparse

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xpnet import MLPClassifier


def main():
    parser = argparse.ArgumentParser(description="Classify handwritten digits.")
    parser.add_argument("--backend", help="where to train; by default, where X is")
    args = parser.parse_args()

    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y, random_state=0
    )
    model = make_pipeline(
        StandardScaler(),
        MLPClassifier((64,), backend=args.backend, random_state=0),
    )
    model.fit(X_train, y_train)

    train_accuracy = model.score(X_train, y_train)
    test_accuracy = model.score(X_test, y_test)
    print(f"{model[-1].n_iter_} epochs, loss {model[-1].loss_:.4f}")
    print(f"accuracy: train {train_accuracy:.4f}, test {test_accuracy:.4f}")

    assert test_accuracy > 0.96


if __name__ == "__main__":
    main()
