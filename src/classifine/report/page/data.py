"""What the data of a run was: its splits, its faults, its classes, and how long its texts are.

It knows what was found, and not how.
"""

from collections.abc import Callable, Iterator

from classifine.report.page import figures
from classifine.report.page.blocks import Block, Cell, Chart, Note, Table, count, share
from classifine.report.page.kept import Kept, TokensFact
from classifine.report.page.missing import AGAIN, lacks


def data_and_faults(kept: Kept, clean: Callable[[str], str]) -> Iterator[Block]:
    """What the data was, the faults in it, and how its classes are spread."""
    found = kept.data
    if kept.record.rows:
        yield Note("Used: " + ", ".join(f"{rows:,} rows for {name}" for name, rows in kept.record.rows.items()) + ".")
    if found is None:
        yield lacks("data_report.json", "what was found in the data")
        return
    if found.splits:
        yield _splits_table(kept, clean)
    if found.notes:
        yield Note(f"Found: {'; '.join(clean(note) for note in found.notes)}.")
    if not found.splits:
        yield Note("The texts were without labels; faults were not looked for in them.")
        return
    if found.faults:
        rows = [
            [
                Cell(one.severity),
                Cell(one.split),
                Cell(one.kind.replace("-", " ")),
                Cell(clean(one.message)),
                Cell(one.action),
            ]
            for one in found.faults
        ]
        yield Table(
            "faults", "Faults that were found, and what was done", ("severity", "split", "fault", "what was found", "what was done"),
            rows, "Row numbers count the rows with content below the header, from 1.",
        )  # fmt: skip
    else:
        yield Note("No faults were found.")
    if any(split.classes for split in found.splits.values()):
        yield _class_counts(kept)


def _splits_table(kept: Kept, clean: Callable[[str], str]) -> Table:
    assert kept.data is not None
    rows = []
    for name, split in kept.data.splits.items():
        what = (
            f"scores {split.scores.get('lowest', 0):g} to {split.scores.get('highest', 0):g}"
            if split.scores
            else f"{len(split.classes)} classes"
        )
        cells = [Cell(name), Cell(clean(split.source)), count(split.rows), Cell(what)]
        rows.append([*cells, *(count(split.characters.get(key)) for key in ("median", "longest"))])
    heads = ("split", "from", "rows", "labels", "characters (median)", "characters (longest)")
    cut = [name for name in kept.record.rows if name not in kept.data.splits]
    note = f"The rows for {' and '.join(cut)} were cut from train." if cut else ""
    return Table("splits", "The data as it was given", heads, rows, note)


def _class_counts(kept: Kept) -> Chart:
    assert kept.data is not None
    splits = kept.data.splits
    names = sorted({name for split in splits.values() for name in split.classes})
    names.sort(key=lambda name: -sum(split.classes.get(name, 0) for split in splits.values()))
    totals = {name: sum(split.classes.values()) for name, split in splits.items()}
    rows = [[Cell(name), *(count(split.classes.get(name, 0)) for split in splits.values())] for name in names]
    drawn = [
        {"label": name, "split": part, "share": split.classes.get(name, 0) / max(totals[part], 1), "rows": split.classes.get(name, 0)}
        for name in names[:figures.BARS_UP_TO]
        for part, split in splits.items()
    ]  # fmt: skip
    fewer = f" The {figures.BARS_UP_TO} largest of {len(names)} are drawn." if len(names) > figures.BARS_UP_TO else ""
    reading = f"How often each label stands in the data as it was given, as a share of all labels of its split.{fewer}"
    table = Table("class-counts-table", "Rows of each class", ("class", *splits), rows)
    return Chart(
        "class-counts", "shares", "How the classes are spread", reading, {"rows": drawn, "splits": list(splits)}, table
    )


_LONGER = {
    "truncate": "Of longer texts the end is cut off (--max-length and --long change that).",
    "head-tail": "Of longer texts the beginning and the end are read (--long).",
    "windows": "Longer texts are read in windows of as many, whose logits are averaged (--long).",
}
_LINE = {
    "truncate": "where texts are cut",
    "head-tail": "the length beyond which texts are cut",
    "windows": "the length of a window",
}


def lengths(kept: Kept) -> Iterator[Block]:
    """How many tokens the texts have, and how many are cut."""
    tokens = kept.data.tokens if kept.data else None
    if tokens is None:
        yield Note(f"This folder does not keep how many tokens its texts have. {AGAIN}")
        return
    cut = sum(one.cut for one in tokens.splits.values())
    yield Note(
        f"The network reads {tokens.max_length} tokens at once; a token is a word or a piece of one. "
        + (_LONGER[tokens.long] if cut else "No text that was looked at is longer.")
    )
    yield _length_chart(tokens)


def _length_chart(tokens: TokensFact) -> Chart:
    rows = [
        [
            Cell(name), count(one.rows), count(one.looked_at), *map(count, (one.median, one.most, one.longest, one.cut)),
            share(one.cut / max(one.looked_at, 1)),
        ]
        for name, one in tokens.splits.items()
    ]  # fmt: skip
    word = "longer" if tokens.long == "windows" else "cut"
    heads = ("split", "rows", "looked at", "median", "95 % have up to", "longest", word, f"share {word}")
    last = max((k for one in tokens.splits.values() for k, n in enumerate(one.counts) if n), default=0)
    data = [
        {"split": name, "low": k * tokens.width, "high": (k + 1) * tokens.width, "share": n / max(one.looked_at, 1), "rows": n}
        for name, one in tokens.splits.items()
        for k, n in enumerate(one.counts[: last + 1])
    ]  # fmt: skip
    longest = max((one.longest for one in tokens.splits.values()), default=0)
    more = (last + 1) * tokens.width < longest
    reading = "The share of the texts of each split with so many tokens"
    reading += f"; the dashed line is {_LINE[tokens.long]}." if tokens.max_length < (last + 1) * tokens.width else "."
    reading += " The last bar counts all longer texts, too." if more else ""
    table = Table("length-table", "Tokens of the texts", heads, rows)
    return Chart(
        "tokens", "lengths", "Tokens of the texts", reading,
        {"rows": data, "splits": list(tokens.splits), "max_length": tokens.max_length}, table,
    )  # fmt: skip
