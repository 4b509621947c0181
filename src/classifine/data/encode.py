"""Texts to token ids, once, into a `datasets.Dataset` with fixed columns.

Columns: `input_ids` and, where the tokenizer makes them, `token_type_ids` (lists, not padded), `length` (tokens)
and `labels` (what `Labels.targets` makes of them). It knows nothing about networks or batches.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from classifine.data.read import Split, Text, whole
from classifine.labels import Labels

if TYPE_CHECKING:
    from datasets import Dataset

Kind = Literal["long", "short", "pairs"]
SHORT = 20  # tokens on average, fewer than which make texts short
_SAMPLE = 1000  # texts that tell how long a set's are
_CHUNK = 10_000  # texts handed to the tokenizer at once: enough for its threads, little enough for memory


def tokenise(texts: Sequence[Text], tokenizer: Any, max_length: int) -> dict[str, list[list[int]]]:
    """Token ids of each text or pair, cut at `max_length` (of a pair the longer one first), without padding."""
    first = [whole(text if isinstance(text, str) else text[0]) for text in texts]
    second = [whole(text[1]) for text in texts if not isinstance(text, str)] or None
    encoded = tokenizer(first, second, truncation=True, max_length=max_length, return_attention_mask=False)
    return {name: encoded[name] for name in encoded if name in ("input_ids", "token_type_ids")}


def text_kind(texts: Sequence[Text], tokenizer: Any, max_length: int) -> Kind:
    """Whether these are pairs, short texts such as phrases and single sentences, or longer ones."""
    if not texts:
        return "long"
    if not isinstance(texts[0], str):
        return "pairs"
    some = texts[:: -(-len(texts) // _SAMPLE)]
    tokens = sum(map(len, tokenise(some, tokenizer, max_length)["input_ids"]))
    return "short" if tokens < SHORT * len(some) else "long"


def pad_id(tokenizer: Any) -> int:
    """The id that fills up a batch; the mask hides it, so where a tokenizer has none any will do."""
    return int(tokenizer.pad_token_id or 0)


def encode(split: Split, tokenizer: Any, labels: Labels, max_length: int) -> "Dataset":
    """A split as token ids and targets, in the order of its rows."""
    from datasets import Dataset

    columns = encode_texts(split.texts, tokenizer, max_length)
    columns["labels"] = labels.targets(split.labels).tolist()
    return Dataset.from_dict(columns)


def encode_texts(texts: Sequence[Text], tokenizer: Any, max_length: int) -> dict[str, list[Any]]:
    """The columns of token ids and `length`, without targets, in the order of the texts."""
    columns: dict[str, list[Any]] = {}
    for start in range(0, len(texts), _CHUNK):
        for name, values in tokenise(texts[start : start + _CHUNK], tokenizer, max_length).items():
            columns.setdefault(name, []).extend(values)
    columns["length"] = [len(ids) for ids in columns["input_ids"]]
    return columns


def pad(columns: dict[str, list[list[int]]], pad_id: int) -> dict[str, Any]:
    """Arrays (rows, longest) of int64 from lists of unequal length, with the `attention_mask` that tells them apart.

    Every column but `input_ids` is padded with 0, as the type of a padding token does not matter.
    """
    import numpy as np

    lengths = np.array([len(ids) for ids in columns["input_ids"]])
    mask = np.arange(lengths.max(initial=1)) < lengths[:, None]
    padded: dict[str, Any] = {"attention_mask": mask.astype(np.int64)}
    for name, lists in columns.items():
        array = np.full(mask.shape, pad_id if name == "input_ids" else 0, dtype=np.int64)
        array[mask] = np.fromiter((value for ids in lists for value in ids), np.int64, int(lengths.sum()))
        padded[name] = array
    return padded
