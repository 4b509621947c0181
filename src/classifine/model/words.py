"""A saved tokenizer without transformers: the `tokenizers` package on tokenizer.json, which takes a tenth of the time to load.

Transformers may change what the file says when it loads it, so the two are compared when a classifier is saved, and
this one is used only where they agreed. It knows nothing about networks.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifine.model.static import WordReader, reads_words, word_reader

TOKENIZER = "tokenizer.json"
# What tokenizers differ in: letter case, accents, scripts without spaces, marks, line ends, blanks, nothing at all.
ODD = (
    "Hello, World!", "ÀÉÎõü naïve", "naive\u0301", "日本語のテキスト", "한국어 नमस्ते", "émoji 👍🏽 x\u200by", "a\tb\r\nc", "  two  blanks ",
    "http://a.b/c?d=e&f=1", "isn't it's", "ＦＵＬＬ ｗｉｄｔｈ", "<s> [CLS] </s> [MASK]", "", " ", "\u00a0x\u3000", "0123.45,6 50%", "word " * 700,
)  # fmt: skip


@dataclass(frozen=True)
class PlainTokenizer:
    """Texts to token ids as a transformers tokenizer would give them; `type_ids` tells whether it names token types.

    Where it cuts was set once, in the backend: setting it at each call would disturb other threads.
    """

    backend: Any
    pad_token_id: int
    type_ids: bool

    def __call__(
        self, first: Sequence[str], second: Sequence[str] | None = None, truncation: bool = True, **others: Any
    ) -> "Tokens":
        """Token ids, cut (of a pair the longer one first) unless that is not to be, without padding."""
        given = first if second is None else list(zip(first, second, strict=True))
        found = (self.backend if truncation else self._uncut).encode_batch_fast(given)
        columns = Tokens({"input_ids": [one.ids for one in found]}, found)
        if self.type_ids:
            columns["token_type_ids"] = [one.type_ids for one in found]
        return columns

    @functools.cached_property
    def _uncut(self) -> Any:
        copy = type(self.backend).from_str(self.backend.to_str())
        copy.no_truncation()
        return copy


class Tokens(dict[str, list[list[int]]]):
    """Columns of token ids, and in `encodings` all that the tokenizers package tells of each text."""

    def __init__(self, columns: dict[str, list[list[int]]], encodings: Sequence[Any]) -> None:
        super().__init__(columns)
        self.encodings = encodings


def described(tokenizer: Any, folder: Path, pairs: bool, max_length: int) -> dict[str, Any] | None:
    """What `plain` needs to know of a transformers tokenizer that was saved to `folder`; None where the two differ.

    They are compared on odd texts, or `pairs` of them.
    """
    if not (folder / TOKENIZER).is_file():
        return None
    first, second = list(ODD), list(ODD[::-1]) if pairs else None
    expected = tokenizer(first, second, truncation=True, max_length=max_length, return_attention_mask=False)
    about = {"pad_id": int(tokenizer.pad_token_id or 0), "type_ids": "token_type_ids" in expected}
    about |= {"words": True} if reads_words(folder) else {}
    found = plain(folder, about, max_length)(first, second)
    same = all(list(map(list, expected[name])) == values for name, values in found.items())
    return about if same else None


def plain(folder: Path, about: dict[str, Any], max_length: int) -> PlainTokenizer | WordReader:
    """The tokenizer of a saved classifier, by what `described` said of it."""
    if about.get("words"):
        return word_reader(folder, max_length)
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(folder / TOKENIZER))
    backend.no_padding()
    backend.enable_truncation(max_length, strategy="longest_first")
    return PlainTokenizer(backend, int(about["pad_id"]), bool(about["type_ids"]))
