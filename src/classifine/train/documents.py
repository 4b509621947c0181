"""Batches of documents that are read in windows: how they are laid out, worked through in parts, and made one loss.

Such a batch has a dimension more, (documents, windows, tokens), so that whatever takes some of its rows, as several GPUs
and sharpness-aware minimisation do, takes whole documents. It knows nothing about texts or the Trainer.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.loss.loss_utils import ForSequenceClassificationLoss

from classifine.data.encode import INPUTS, pad
from classifine.windows import MOST_WINDOWS, WINDOWS, drawn, pooled, taken_apart


def collator(pad_id: int, most: int = MOST_WINDOWS) -> Callable[[Sequence[dict[str, Any]]], dict[str, Tensor]]:
    """A function that pads encoded rows to the longest of them.

    Of a document in windows it takes `most` at most, drawn anew each time, one of each of as many equal stretches.
    """

    def collate(rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        columns = {name: [row[name] for row in rows] for name in (*INPUTS, WINDOWS) if name in rows[0]}
        laid_out = _in_windows(columns, pad_id, most) if WINDOWS in columns else _padded(columns, pad_id)
        return {**laid_out, "labels": torch.tensor([row["labels"] for row in rows])}

    return collate


def _padded(columns: dict[str, list[list[int]]], pad_id: int) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in pad(columns, pad_id).items()}


def _in_windows(columns: dict[str, list[list[int]]], pad_id: int, most: int) -> dict[str, Tensor]:
    parts, counts = taken_apart(columns)
    chosen, start = list[list[int]](), 0
    for count in counts:
        chosen.append([start + i for i in drawn(count, most, lambda below: int(torch.randint(below, ())))])
        start += count
    kept = {name: [values[i] for own in chosen for i in own] for name, values in parts.items()}
    # What is no window of a document stays masked as a whole.
    taken = torch.tensor([len(own) for own in chosen])
    real = torch.arange(int(taken.max())) < taken[:, None]
    result = {}
    for name, values in _padded(kept, pad_id).items():
        result[name] = values.new_zeros((*real.shape, values.shape[1]))
        result[name][real] = values
    return result


def parts_of(batch: Mapping[str, Any], at_once: int) -> Iterator[tuple[dict[str, Any], float]]:
    """(some documents of a batch, which share of its documents they are): as many as have `at_once` windows together.

    One document is never parted. A batch of plain rows is a single part.
    """
    mask = batch.get("attention_mask")
    if mask is None or mask.ndim == 2:
        yield dict(batch), 1.0
        return
    counts, start, held = mask.any(dim=2).sum(dim=1).tolist(), 0, 0
    for place, count in enumerate(counts):
        if held and held + count > at_once:
            yield _part(batch, slice(start, place)), (place - start) / len(counts)
            start, held = place, 0
        held += count
    yield _part(batch, slice(start, None)), (len(counts) - start) / len(counts)


def _part(batch: Mapping[str, Any], rows: slice) -> dict[str, Any]:
    """These documents, with no more windows and tokens than the longest of them has."""
    part = {name: values[rows] for name, values in batch.items()}
    tokens = part["attention_mask"].sum(dim=2)
    most, longest = int((tokens > 0).sum(dim=1).max()), int(tokens.max())
    return {name: values if name == "labels" else values[:, :most, :longest] for name, values in part.items()}


@contextlib.contextmanager
def one_loss_a_document(network: Any) -> Iterator[None]:
    """While it is open, `network(labels=..., **batch)` of documents in windows answers with their pooled `logits` and
    the `loss` of those, by transformers' own function, or without labels with the logits alone; it answers anything else as before.
    """

    def spread(module: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        # On the module that runs, so that each of several GPUs finds its own.
        module.documents = None
        if kwargs["input_ids"].ndim == 2:
            return None
        real = kwargs["attention_mask"].any(dim=2)
        module.documents = real.sum(dim=1).tolist(), kwargs.get("labels")
        return args, {name: values[real] for name, values in kwargs.items() if name != "labels"}

    def pool(module: Any, args: Any, output: Any) -> Any:
        if module.documents is None:
            return None
        counts, labels = module.documents
        module.documents = None
        # In float32: a mean of bfloat16 would round each answer once more.
        found = torch.stack(list(pooled(output["logits"].float(), counts)))
        if labels is None:
            return type(output)(logits=found)
        return type(output)(loss=ForSequenceClassificationLoss(labels, found, module.config), logits=found)

    handles = [
        network.register_forward_pre_hook(spread, with_kwargs=True),
        network.register_forward_hook(pool),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        vars(network).pop("documents", None)
