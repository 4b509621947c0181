"""The forward loop: the order of rows, the bound on tokens, and that batching changes nothing but speed."""

import numpy as np
import pytest
import torch

from classifine.infer import forward
from classifine.infer.engine import TorchEngine
from classifine.infer.forward import batches, logits
from classifine.infer.predict import text_logits
from classifine.train.trainer import input_columns


@pytest.fixture
def columns(encoded):
    return input_columns(encoded)


def one_by_one(network, columns):
    with torch.inference_mode():
        return np.concatenate(
            [
                network(**{name: torch.tensor([values[i]]) for name, values in columns.items()}).logits.numpy()
                for i in range(len(columns["input_ids"]))
            ]
        )


def test_rows_come_back_in_order_whatever_the_batches(saved, columns, monkeypatch):
    alone = one_by_one(saved.network, columns)
    for tokens in (1, 50, 4096):
        monkeypatch.setattr(forward, "batches", lambda lengths, _, tokens=tokens: batches(lengths, tokens))
        together = logits(TorchEngine(saved.network), columns, saved.tokenizer.pad_token_id)
        assert together.shape == (120, 3)
        assert together.dtype == np.float32
        assert np.abs(together - alone).max() < 1e-5


def test_batches_hold_every_row_once_within_the_bound():
    lengths = [3, 50, 7, 7, 200, 1, 0, 40, 64]
    found = list(batches(lengths, 100))
    assert sorted(i for rows in found for i in rows) == list(range(len(lengths)))
    for rows in found:
        longest = max(lengths[i] for i in rows)
        assert len(rows) * longest <= 100 or len(rows) == 1
    assert found[0] == [4]


def test_batches_of_nothing():
    assert list(batches([], 100)) == []


def test_no_rows_give_no_logits(saved):
    assert logits(TorchEngine(saved.network), {"input_ids": []}, 0).shape == (0, 3)
    assert text_logits(saved, []).shape == (0, 3)


def test_train_mode_is_left_as_it_was(saved, columns):
    first = logits(TorchEngine(saved.network), columns, 0)
    saved.network.train()
    try:
        assert np.array_equal(logits(TorchEngine(saved.network), columns, 0), first)
        assert saved.network.training
        with pytest.raises(IndexError):
            logits(TorchEngine(saved.network), {"input_ids": [[10**6]]}, 0)
        assert saved.network.training
    finally:
        saved.network.eval()


def test_bf16_is_near_float32_and_not_the_same(saved, columns):
    exact, rough = (logits(TorchEngine(saved.network, precision), columns, 0) for precision in ("float32", "bf16"))
    assert 0 < np.abs(exact - rough).max() < 0.1
