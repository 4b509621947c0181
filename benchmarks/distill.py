"""Students of a teacher on AG News: agreement, accuracy with its interval, rows per second of all, in one run.

    python benchmarks/distill.py [--data DIR] [--teacher FOLDER] [--texts ROWS] [--rounds 5] [--runs DIR]

The teacher is a classifier of AG News: the one that is named, or trained by the defaults on the train rows. Its students
see the texts of the same rows without their labels: a static one (`--static`) and the default base cut to its first two
layers, both by `classifine distill` as it is. Then all of them answer the same test texts in turn, in every round in
random order, tokenising included; and `classifine predict` labels a csv and a Parquet file of repeated test texts by each,
as processes of their own. Runs are kept under --runs, so that what stopped goes on. Prints a table in Markdown. Nothing
else should run meanwhile.
"""

import argparse
import csv
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

CLI = [sys.executable, "-m", "classifine"]
TRAIN, TEST = "ag_news/train_part.jsonl", "ag_news/test.jsonl"
LAYERS = 2


def called(command: list[str], log: Path) -> None:
    """Run a command of classifine, its words to a log."""
    with log.open("w") as file:
        if subprocess.run([*CLI, *command], stdout=file, stderr=file).returncode:
            sys.exit(f"{' '.join(command)} failed; see {log}")


def texts_of(path: Path, count: int | None = None) -> list[str]:
    """Title and description of rows, joined as classifine joins two columns."""
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in islice(file, count)]
    return [f"{row['title']} {row['description']}" for row in rows]


def cut_base(folder: Path) -> Path:
    """The default base with its first layers only."""
    if not folder.exists():
        from transformers import AutoModel, AutoTokenizer

        from classifine.config import DEFAULT_BASE
        from classifine.model.base import find_base
        from classifine.model.network import quiet_transformers

        source = find_base(DEFAULT_BASE).folder
        with quiet_transformers():
            network = AutoModel.from_pretrained(source, num_hidden_layers=LAYERS)
            network.save_pretrained(folder)
            AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


def trained_teacher(data: Path, runs: Path) -> Path:
    folder = runs / "teacher"
    if not folder.exists():
        called(["train", str(data / TRAIN), "--test", str(data / TEST), "-o", str(folder)], runs / "teacher.log")
    return folder


def students(teacher: Path, data: Path, texts: int | None, runs: Path) -> dict[str, Path]:
    """The folder of each student, trained now or in an earlier run of the script."""
    small = ["--base", str(cut_base(runs / "base"))]
    found = {}
    for name, flags in (("static", ["--static"]), (f"{LAYERS} layers", small)):
        folder = runs / name.replace(" ", "-")
        if not folder.exists():
            command = [
                "distill",
                str(teacher),
                str(data / TRAIN),
                "--test",
                str(data / TEST),
                "-o",
                str(folder),
                *flags,
            ]
            called([*command, *(["--max-rows", str(texts)] if texts else [])], runs / f"{folder.name}.log")
        found[name] = folder
    return found


def in_turn(folders: dict[str, Path], texts: list[str], rounds: int) -> dict[str, list[float]]:
    """Rows per second of each in every round, on the same texts."""
    from classifine.infer.choose import open_engine
    from classifine.infer.predict import text_logits
    from classifine.model.folder import load

    opened = {name: (saved := load(folder), open_engine(saved)) for name, folder in folders.items()}
    for saved, engine in opened.values():
        text_logits(saved, texts[:32], engine)  # what is loaded at the first use
    rates: dict[str, list[float]] = {name: [] for name in folders}
    for number in range(rounds):
        for name in random.Random(number).sample(list(opened), len(opened)):
            saved, engine = opened[name]
            start = time.perf_counter()
            text_logits(saved, texts, engine)
            rates[name].append(len(texts) / (time.perf_counter() - start))
    return rates


def files_of(texts: list[str], rows: int, runs: Path) -> Iterator[Path]:
    """A csv and a Parquet file of so many rows."""
    given = list(islice(cycle(texts), rows))
    path = runs / f"{rows}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *enumerate(given)])
    yield path
    pq.write_table(pa.table({"id": range(rows), "text": given}), runs / f"{rows}.parquet")
    yield runs / f"{rows}.parquet"


def predicted(folder: Path, given: Path, runs: Path) -> float:
    """Rows per second of `classifine predict`, its start included."""
    answered = runs / f"answered{given.suffix}"
    answered.unlink(missing_ok=True)
    start = time.perf_counter()
    called(["predict", str(folder), str(given), "-o", str(answered), "--text", "text"], runs / "predict.log")
    return int(given.stem) / (time.perf_counter() - start)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})"


def interval(metric: dict[str, float] | None) -> str:
    return "" if metric is None else f"{metric['value']:.4f} ({metric['low']:.4f} to {metric['high']:.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--teacher", type=Path, help="a classifier of AG News; trained where none is given")
    parser.add_argument("--texts", type=int, help="texts that the students see; all without it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--timed", type=int, default=2000, help="test texts of a round")
    parser.add_argument("--rows", type=int, default=500_000, help="rows of the files that the static student labels")
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark-distill"))
    args = parser.parse_args()
    if not (args.data / TRAIN).is_file():
        sys.exit(f"No file {args.data / TRAIN}. Name the folder that holds the sets with --data.")
    args.runs.mkdir(parents=True, exist_ok=True)
    teacher = args.teacher or trained_teacher(args.data, args.runs)
    folders = {"teacher": teacher, **students(teacher, args.data, args.texts, args.runs)}
    texts = texts_of(args.data / TEST)
    rates = in_turn(folders, texts[: args.timed], args.rounds)
    records: dict[str, Any] = {
        name: json.loads((folder / "classifine.json").read_text(encoding="utf-8")).get("distilled")
        for name, folder in folders.items()
    }
    whole: dict[str, list[float]] = {name: [] for name in folders}
    for many, names in (
        (args.rows, ["static"]),
        (max(args.rows // 100, 100), [name for name in folders if name != "static"]),
    ):
        for given in files_of(texts, many, args.runs):
            for name in names:
                whole[name].append(predicted(folders[name], given, args.runs))
    print(f"\n{len(texts)} test rows; rates on {args.timed} of them, {args.rounds} rounds in turn\n")
    print(
        "| who | accuracy | agreement with the teacher | rows/s | times the teacher's | predict csv, rows/s | predict Parquet, rows/s |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    of_teacher = next(found["test"]["teacher"]["accuracy"] for found in records.values() if found)
    for name, found in records.items():
        accuracy = interval(found["test"]["student"]["accuracy"] if found else of_teacher)
        times = statistics.median(a / b for a, b in zip(rates[name], rates["teacher"], strict=True))
        shown = [accuracy, interval(found["agreement"]) if found else "", spread(rates[name]), f"{times:.1f}"]
        print(f"| {name} | {' | '.join([*shown, *(f'{rate:.0f}' for rate in whole[name])])} |")
    (args.runs / "rates.json").write_text(json.dumps({"in_turn": rates, "predict": whole}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
