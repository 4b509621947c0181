"""Texts to token ids, once, into a `datasets.Dataset` with fixed columns.

Columns: `input_ids` and, where the tokenizer makes them, `token_type_ids` (lists, not padded), `length` (tokens)
and `labels` (what `Labels.targets` makes of them). A row is a document; where long ones are read in windows, the
windows of each stand one after the other in its lists, each with its special tokens, and a column `windows` tells how
many tokens each has. It knows nothing about networks or batches.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from classifine.data.read import Split
from classifine.data.row import Text, whole
from classifine.errors import ModelError
from classifine.labels import Labels
from classifine.windows import TRUNCATE, WINDOWS, Long, read_together, sides

if TYPE_CHECKING:
    from datasets import Dataset

Kind = Literal["long", "short", "pairs"]
SHORT = 20  # tokens on average, fewer than which make texts short
_SAMPLE = 1000  # texts that tell how long a set's are
_CHUNK = 10_000  # texts handed to the tokenizer at once: enough for its threads, little enough for memory
# Characters whose tokens are held at once, all of them: a hundred bytes each, and a thousand windows fill many batches.
_PORTION = 1 << 20
INPUTS = ("input_ids", "token_type_ids")  # the columns that a network takes


def tokenise(
    texts: Sequence[Text], tokenizer: Any, max_length: int, long: Long = TRUNCATE
) -> dict[str, list[list[int]]]:
    """Token ids of each text or pair, without padding; what is read of one of more than `max_length` tokens is up to
    `long` (of a pair the longer one gives way first).

    ModelError where that is more than the beginning, and the tokenizer does not tell where its tokens stand.
    """
    first = [whole(text if isinstance(text, str) else text[0]) for text in texts]
    second = [whole(text[1]) for text in texts if not isinstance(text, str)] or None
    if long.way != "truncate":
        found = tokenizer(first, second, truncation=False, return_attention_mask=False, verbose=False)
        return _parts_read(found, tokenizer, max_length, long)
    encoded = tokenizer(first, second, truncation=True, max_length=max_length, return_attention_mask=False)
    return {name: encoded[name] for name in encoded if name in INPUTS}


def _parts_read(found: Any, tokenizer: Any, max_length: int, long: Long) -> dict[str, list[list[int]]]:
    """The columns of texts that were tokenised as a whole."""
    if found.encodings is None:
        raise ModelError(
            f"The tokenizer of this base ({type(tokenizer).__name__}) does not tell where its tokens stand, as --long "
            f"{long.way} needs it; expected one with a tokenizer.json. Leave out --long, or choose another --base."
        )
    columns: dict[str, list[list[int]]] = {name: [] for name in INPUTS if name in found}
    sizes: list[list[int]] = []
    for encoding in found.encodings:
        taken = _windows(encoding, max_length, long)
        for name, own in columns.items():
            values = encoding.ids if name == "input_ids" else encoding.type_ids
            own.append([values[place] for window in taken for place in window])
        sizes.append([len(window) for window in taken])
    return {**columns, WINDOWS: sizes} if long.way == "windows" else columns


def _windows(encoding: Any, max_length: int, long: Long) -> Sequence[Sequence[int]]:
    """The places of the tokens of each window of a text, with the special tokens that stand around every one."""
    if len(encoding) <= max_length:
        return [range(len(encoding))]
    special, parts = sides(encoding.sequence_ids, encoding.n_sequences)
    return [sorted([*special, *inside]) for inside in read_together(parts, max_length - len(special), long)]


def portions(texts: Sequence[Text | None], long: Long) -> Iterator[slice]:
    """Which texts to tokenise at once: all, or of texts that are not cut beforehand as many as memory has room for."""
    start = held = 0
    for place, text in enumerate(texts if long.way != "truncate" else ()):
        size = len(text) if isinstance(text, str) else sum(map(len, text or ()))
        if held and held + size > _PORTION:
            yield slice(start, place)
            start, held = place, 0
        held += size
    yield slice(start, len(texts))


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


def encode(split: Split, tokenizer: Any, labels: Labels, max_length: int, long: Long = TRUNCATE) -> "Dataset":
    """A split as token ids and targets, in the order of its rows."""
    return _encoded(split.texts, labels.targets(split.labels).tolist(), tokenizer, max_length, long)


def encode_names(labels: Labels, tokenizer: Any, max_length: int, long: Long = TRUNCATE) -> "Dataset | None":
    """What the labels of a single-label task are called as rows of theirs, one of each in their order; None where that says
    nothing.
    """
    texts = labels.as_texts()
    return _encoded(texts, list(range(len(texts))), tokenizer, max_length, long) if texts else None


def _encoded(texts: Sequence[Text], targets: list[Any], tokenizer: Any, max_length: int, long: Long) -> "Dataset":
    from datasets import Dataset, concatenate_datasets

    parts, done = list[Dataset](), 0
    # Lists of numbers take many times the memory of a Dataset, which long documents read as a whole can fill.
    for columns in _by_portion(texts, tokenizer, max_length, long):
        count = len(columns["length"])
        parts.append(Dataset.from_dict({**columns, "labels": targets[done : done + count]}))
        done += count
    return concatenate_datasets(parts)


def encode_texts(texts: Sequence[Text], tokenizer: Any, max_length: int) -> dict[str, list[Any]]:
    """The columns of token ids and `length`, without targets, in the order of the texts."""
    columns: dict[str, list[Any]] = {}
    for part in _by_portion(texts, tokenizer, max_length, TRUNCATE):
        for name, values in part.items():
            columns.setdefault(name, []).extend(values)
    return columns


def _by_portion(texts: Sequence[Text], tokenizer: Any, max_length: int, long: Long) -> Iterator[dict[str, list[Any]]]:
    for start in range(0, len(texts), _CHUNK):
        chunk = texts[start : start + _CHUNK]
        for part in portions(chunk, long):
            columns: dict[str, list[Any]] = {**tokenise(chunk[part], tokenizer, max_length, long)}
            yield {**columns, "length": [len(ids) for ids in columns["input_ids"]]}


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
