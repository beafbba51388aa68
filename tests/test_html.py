"""The HTML representation, and its link to the documentation."""

import importlib.metadata
from email.message import Message

import pytest

from xpnet import MLPClassifier, MLPRegressor


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
