"""Tokens hidden from a network, which it is to guess: drawn anew for each batch, or once to judge by.

Of the tokens that are drawn 80 in 100 become the mask, 10 another token, and 10 stay (Devlin et al. 2019), by
transformers' own collator. It knows nothing about networks.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DataCollatorForLanguageModeling

from classifine.data.encode import INPUTS, pad, pad_id
from classifine.infer.masked import NOT_ASKED


def masking_collator(tokenizer: Any, share: float) -> Callable[[Sequence[dict[str, Any]]], dict[str, Tensor]]:
    """A function that pads encoded rows to the longest of them and masks a `share` of their tokens, by torch's generator."""
    masker = DataCollatorForLanguageModeling(tokenizer, mlm_probability=share)
    special, filler = torch.tensor(sorted(set(tokenizer.all_special_ids))), pad_id(tokenizer)

    def collate(rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        columns = {name: [row[name] for row in rows] for name in INPUTS if name in rows[0]}
        batch = {name: torch.from_numpy(array) for name, array in pad(columns, filler).items()}
        untouched = torch.isin(batch["input_ids"], special) | (batch["attention_mask"] == 0)
        batch["input_ids"], batch["labels"] = masker.torch_mask_tokens(batch["input_ids"], untouched)
        return batch

    return collate


def masked_once(columns: dict[str, list[Any]], tokenizer: Any, share: float, seed: int) -> dict[str, list[list[int]]]:
    """The encoded rows with masks that follow from the seed, and `targets` as `infer.masked.MaskedEngine` reads them."""
    collate = masking_collator(tokenizer, share)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    result: dict[str, list[list[int]]] = {name: columns[name] for name in INPUTS if name in columns}
    result |= {"input_ids": [], "targets": []}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for row in rows:
            batch = collate([row])
            labels = batch["labels"][0]
            result["input_ids"].append(batch["input_ids"][0].tolist())
            result["targets"].append(torch.where(labels == NOT_ASKED, 0, labels + 1).tolist())
    return result
