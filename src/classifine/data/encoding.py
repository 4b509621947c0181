"""Which bytes are which letters: the encoding of a text file, gzipped or not.

It knows nothing about rows or columns.
"""

import codecs
import gzip
from pathlib import Path
from typing import IO

from classifine.errors import DataError

_VERIFY = 1 << 26  # bytes of a file that are read ahead to be sure of its encoding
_AROUND = 1 << 17  # bytes before and after the first strange one that a guess looks at
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# Beside UTF-8 and UTF-16: what spreadsheets of the last thirty years write.
_CODE_PAGES = (
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257",
    "cp932", "euc_jp", "gb18030", "big5", "cp949", "koi8_r",
)  # fmt: skip
_WESTERN = frozenset(
    "àáâãäåæçèéêëìíîïñòóôõöøœùúûüÿßÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜŸ“”‘’„‚–—…€°«»¡¿·•§®™£ªº´\N{NO-BREAK SPACE}"
)


def open_binary(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked where its name ends in .gz."""
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def find_encoding(path: Path, wanted: str | None) -> tuple[str, tuple[str, ...]]:
    """The encoding of a text file and a note where it was guessed: mark, then UTF-8, then by its letters."""
    if wanted:
        return named_encoding(wanted), ()
    with open_binary(path) as file:
        head = file.read(_VERIFY)
    for mark, encoding in _BOMS.items():
        if head.startswith(mark):
            return encoding, ()
    if b"\0" in head:
        return _utf16_without_mark(path, head)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
        return "utf-8", ()
    except UnicodeDecodeError as error:
        _refuse_damaged_utf8(path, head, error.start)
        # What stands around the first strange byte tells more than the plain letters of the beginning.
        return _guess_encoding(path, head[max(0, error.start - _AROUND) : error.start + _AROUND])


def named_encoding(wanted: str) -> str:
    """Python's name of an encoding of text; DataError where there is none of that name."""
    try:
        "".encode(wanted)  # fails also for what Python calls an encoding but is none of text, such as base64
        name = codecs.lookup(wanted).name
    except LookupError:
        raise DataError(
            f"--encoding is '{wanted}'; expected a name such as utf-8 or cp1252. Correct it or leave it out."
        ) from None
    # utf-8-sig reads UTF-8 with and without a mark; a mark left in would become part of the first column's name.
    return "utf-8-sig" if name == "utf-8" else name


def _utf16_without_mark(path: Path, head: bytes) -> tuple[str, tuple[str, ...]]:
    sample = head[:4096]
    for offset, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if sample[offset::2].count(0) > 0.4 * len(sample[offset::2]) and 0 not in sample[1 - offset :: 2]:
            return encoding, (f"read as {encoding}, a guess (--encoding changes it)",)
    raise DataError(
        f"{path} holds NUL bytes, so it is not a text file. Save it as csv, jsonl or xlsx with that ending."
    )


def _refuse_damaged_utf8(path: Path, head: bytes, place: int) -> None:
    """DataError for a file whose letters are UTF-8 but for a few stray bytes: no other encoding would read it."""
    text = head.decode("utf-8", errors="replace")
    strange = text.count("\N{REPLACEMENT CHARACTER}")
    if sum(not letter.isascii() for letter in text) > 10 * strange:
        line = head.count(b"\n", 0, place) + 1
        raise DataError(
            f"{path} is UTF-8 but for {strange} bytes, the first {head[place]:#04x} in line {line}. Mend them, or name another --encoding."
        )


def _guess_encoding(path: Path, sample: bytes) -> tuple[str, tuple[str, ...]]:
    from charset_normalizer import from_bytes

    best = None if _is_western(sample) else from_bytes(sample, cp_isolation=list(_CODE_PAGES)).best()
    if best is None and not _is_western(sample):
        raise DataError(f"{path} is in no encoding that we know. Save it as UTF-8 or name its --encoding.")
    encoding = best.encoding if best else "cp1252"
    return encoding, (f"read as {encoding}, a guess (--encoding changes it)",)


def _is_western(sample: bytes) -> bool:
    """Whether cp1252 makes the sample a text of Western European letters, most of them plain.

    Decided here because charset-normalizer takes short French and Portuguese texts for Baltic or Czech ones.
    """
    text = sample.decode("cp1252", errors="replace")
    special = [letter for letter in text if not letter.isascii()]
    accented = sum(letter.isalpha() for letter in special)
    return _WESTERN.issuperset(special) and accented < 0.25 * sum(letter.isalpha() for letter in text)
