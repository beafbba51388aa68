"""The HTML representation, and its link to the documentation."""

import importlib.metadata
import re
from email.message import Message
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xpnet import MLPClassifier, MLPRegressor, summary


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("home", ["https://docs.example", "https://docs.example/"])
def test_the_link_is_below_the_documentation(
    cls: type, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = Message()
    metadata["Project-URL"] = "Source, https://source.example"
    metadata["Project-URL"] = f"Documentation, {home}"
    monkeypatch.setattr(importlib.metadata, "metadata", lambda _: metadata)
    page = f"https://docs.example/api/generated/xpnet.{cls.__name__}.html"
    assert f'href="{page}"' in cls()._repr_html_()


def test_without_a_site_there_is_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "metadata", lambda _: Message())
    html = MLPClassifier()._repr_html_()
    assert "MLPClassifier" in html
    assert "/api/" not in html


class Hostile:
    """An activation whose name would be HTML."""

    def value(self, Z: Any) -> Any:
        return Z

    def derivative(self, Z: Any) -> Any:
        return 0.0 * Z + 1.0


Hostile.__name__ = "<script>"


@pytest.mark.parametrize("show", ["_repr_html_", "_repr_mimebundle_"])
def test_a_fitted_network_shows_its_layers(show: str) -> None:
    X, y = np.eye(6), np.arange(6) % 3
    clf = MLPClassifier((4, 2), [Hostile(), "tanh"], max_iter=2)

    def shown() -> str:
        found = getattr(clf, show)()
        return str(found["text/html"] if isinstance(found, dict) else found)

    assert "xpnet-layers" not in shown()
    for _ in clf.iter_fit(X, y):
        pass
    table = shown().partition('<table class="xpnet-layers">')[2]
    assert f"<caption>{summary(clf).title}</caption>" in table
    cells = re.findall(r">([^<>]+)</t[dh]>", table)
    assert cells[:7] == summary(clf).rows[0]
    assert cells[7:14] == ["1", "dense", "6", "4", "&lt;script&gt;", "28", "224"]
    assert cells[-3:] == ["total", "47", "376"]


def test_no_html_where_none_is_wanted() -> None:
    with sklearn.config_context(display="text"):
        assert list(MLPClassifier()._repr_mimebundle_()) == ["text/plain"]
        assert not hasattr(MLPClassifier(), "_repr_html_")


def test_in_a_pipeline_the_html_is_scikit_learns() -> None:
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((2,), max_iter=1))
    assert "MLPClassifier" in pipeline._repr_html_()
