"""The forward loop: the order of rows, the bound on tokens, and that batching changes nothing but speed."""

import numpy as np
import pytest
import torch

from classifine.infer import forward
from classifine.infer.forward import batches, logits
from classifine.infer.predict import text_logits
from classifine.infer.torch_engine import TorchEngine
from classifine.train.lesson import input_columns


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


@pytest.mark.parametrize("most", [1, 3])
def test_a_batch_that_memory_does_not_hold_is_answered_in_halves(saved, columns, monkeypatch, most):
    own = type(saved.network.bert)
    expected, forwards, sizes = one_by_one(saved.network, columns), own.forward, []

    def small(self, input_ids=None, **inputs):
        sizes.append(len(input_ids))
        if len(input_ids) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forwards(self, input_ids=input_ids, **inputs)

    monkeypatch.setattr(own, "forward", small)
    found = logits(TorchEngine(saved.network), columns, saved.tokenizer.pad_token_id)
    assert np.abs(found - expected).max() < 1e-5
    assert max(sizes) > most


def test_a_row_that_memory_does_not_hold_is_an_error(saved, columns, monkeypatch):
    def never(self, *args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(type(saved.network.bert), "forward", never)
    with pytest.raises(torch.OutOfMemoryError):
        logits(TorchEngine(saved.network), columns, saved.tokenizer.pad_token_id)
