"""What `classifine audit` finds of faults that are planted in rows of AG News: wrong labels and near duplicates.

    python benchmarks/audit.py [--data DIR] [--rows 30000] [--copies 500] [--seed 1] [--runs DIR]

Takes distinct rows, sets a test split aside, flips 5 % of all labels to another class at random, and plants altered copies
of train rows in test: with typing errors, in another case, with words added, or all three. Then runs the command and
prints a table in Markdown. Nothing else should run meanwhile where its times are to be told.

A near duplicate counts as found where the list has the planted row with the number of its original. Of the rows that were
not planted 1,000 are drawn: one of them counts as false where it is listed as copy of a row with which it shares less
than half of the words of both.
"""

import argparse
import csv
import json
import random
import resource
import shutil
import string
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

LABELS = ("World", "Sports", "Business", "Sci/Tech")
WORDS = [
    "breaking",
    "update",
    "today",
    "please",
    "read",
    "this",
    "again",
    "new",
    "more",
    "also",
    "really",
    "just",
    "in",
    "now",
]
LOOKED_AT = 1000


def typing_errors(text: str, draw: random.Random) -> str:
    """One to four letters of a hundred replaced, added, left out or swapped."""
    letters = list(text)
    for _ in range(max(1, round(draw.uniform(0.01, 0.04) * len(letters)))):
        i, letter = draw.randrange(len(letters) - 1), draw.choice(string.ascii_lowercase)
        kind = draw.randrange(4)
        if kind == 0:
            letters[i] = letter
        elif kind == 1:
            letters.insert(i, letter)
        elif kind == 2:
            del letters[i]
        else:
            letters[i : i + 2] = letters[i + 1], letters[i]
    return "".join(letters)


def other_case(text: str, draw: random.Random) -> str:
    return draw.choice((str.upper, str.lower, str.title))(text)


def added_words(text: str, draw: random.Random) -> str:
    words = text.split()
    for _ in range(draw.randint(1, 5)):
        words.insert(draw.randrange(len(words) + 1), draw.choice(WORDS))
    return " ".join(words)


def everything(text: str, draw: random.Random) -> str:
    return added_words(other_case(typing_errors(text, draw), draw), draw)


ALTERED = {
    "typing errors": typing_errors, "another case": other_case, "words added": added_words, "all three": everything,
}  # fmt: skip


def plant(data: Path, folder: Path, count: int, copies: int, seed: int) -> dict:
    """Write train.csv and test.csv; what was planted, by (split, row)."""
    with (data / "ag_news/train_part.jsonl").open(encoding="utf-8") as file:
        found = {f"{row['title']} {row['description']}": row["label"] for row in map(json.loads, file)}
    draw = random.Random(seed)
    rows = draw.sample(sorted(found.items()), min(count, len(found)))
    held = len(rows) // 10
    test, train = rows[:held], rows[held:]
    sources = draw.sample(range(len(train)), copies)
    kinds = [list(ALTERED)[i % len(ALTERED)] for i in range(copies)]
    altered = [(ALTERED[kind](train[i][0], draw), train[i][1]) for i, kind in zip(sources, kinds, strict=True)]
    splits = {"train": train, "test": test + altered}
    planted = {("test", held + k + 1): (kinds[k], source + 1) for k, source in enumerate(sources)}
    places = [(name, i) for name, part in splits.items() for i in range(len(part))]
    flipped = draw.sample(places, round(0.05 * len(places)))
    for name, i in flipped:
        text, label = splits[name][i]
        splits[name][i] = (text, draw.choice([other for other in LABELS if other != label]))
    folder.mkdir(parents=True)
    for name, part in splits.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *part])
    return {
        "rows": len(places), "copies": planted, "flipped": {(name, i + 1) for name, i in flipped},
        "texts": {(name, i + 1): part[i][0] for name, part in splits.items() for i in range(len(part))},
    }  # fmt: skip


def place_of(words: str) -> tuple[str, int]:
    """("train", 17) of "row 17 of train"."""
    _, number, _, split = words.split()
    return split, int(number)


def judge(planted: dict, lines: list[dict], seed: int) -> list[tuple[str, str]]:
    """(what, figure) of a list."""
    first = lines[: round(0.05 * planted["rows"])]
    hits = {(line["split"], int(line["row"])) for line in first if line["kind"] == "label-error"} & planted["flipped"]
    near = {(x["split"], int(x["row"])): place_of(x["suggested"]) for x in lines if x["kind"] == "near-duplicate"}
    by_kind = defaultdict(list)
    for place, (kind, source) in planted["copies"].items():
        by_kind[kind].append(near.get(place) == ("train", source))
    touched = set(planted["copies"]) | {("train", source) for _, source in planted["copies"].values()}
    others = random.Random(seed).sample(sorted(set(planted["texts"]) - touched), LOOKED_AT)
    false = [place for place in others if place in near and not alike(planted["texts"], place, near[place])]
    every = [one for found in by_kind.values() for one in found]
    table = [
        ("flipped labels", f"{len(planted['flipped'])}"),
        (f"of them among the first {len(first)} lines", f"{len(hits) / len(planted['flipped']):.1%}"),
        ("planted near duplicates found", f"{sum(every) / len(every):.1%} of {len(every)}"),
    ]
    table += [(f"- {kind}", f"{sum(found) / len(found):.1%}") for kind, found in by_kind.items()]
    listed = sum(place in near for place in others)
    return [
        *table,
        (f"other rows listed as near duplicates, of {LOOKED_AT}", f"{listed}"),
        ("of them false", f"{len(false)}"),
    ]


def alike(texts: dict, one: tuple, other: tuple) -> bool:
    first, second = (set(texts[place].lower().split()) for place in (one, other))
    return len(first & second) >= 0.5 * min(len(first), len(second))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--copies", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark-audit"))
    args = parser.parse_args()
    shutil.rmtree(args.runs, ignore_errors=True)
    planted = plant(args.data, args.runs / "data", args.rows, args.copies, args.seed)
    start = time.perf_counter()
    command = [sys.executable, "-m", "classifine", "audit", args.runs / "data", "-o", args.runs / "audit.csv"]
    subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    with (args.runs / "audit.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    print(f"| {planted['rows']} rows of AG News | |\n| --- | --- |")
    for what, figure in judge(planted, lines, args.seed):
        print(f"| {what} | {figure} |")
    print(f"| seconds for all of it | {seconds:.0f} |\n| most memory | {memory:.0f} MiB |")


if __name__ == "__main__":
    main()
