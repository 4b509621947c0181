"""The same rows, base model and epochs through a plain Trainer script and through classifine, in one run.

    python benchmarks/training.py [--data DIR] [--rows 1500] [--test-rows 1000] [--epochs 2] [--repeats 1]

Takes AG News from DIR (a folder with ag_news/train_part.jsonl and ag_news/test.jsonl). Each side runs in its own
process, the sides in turn. Prints a table in Markdown: rows per second of training (classifine's include its
validation after each epoch), wall time of the whole process, peak memory, accuracy on the same test rows with its
standard error, and the ratio to each plain script, for several repeats with their spread.
"""

import argparse
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from classifine.config import DEFAULT_BASE
from classifine.model.base import find_base

HERE = Path(__file__).parent
PLAIN, PADDED, OURS = "plain Trainer, padded to the batch's longest", "plain Trainer, padded to 256", "classifine"


def sample(source: Path, target: Path, rows: int, seed: int) -> None:
    """Write a random sample of AG News with title and description joined."""
    found = [json.loads(line) for line in source.open(encoding="utf-8")]
    with target.open("w", encoding="utf-8") as file:
        for row in random.Random(seed).sample(found, min(rows, len(found))):
            text = f"{row['title']} {row['description']}"
            file.write(json.dumps({"text": text, "label": row["label"]}, ensure_ascii=False) + "\n")


def timed(command: list[str]) -> tuple[str, float]:
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout, time.monotonic() - start


def plain(base: Path, folder: Path, epochs: int, *more: str) -> dict[str, float]:
    command = [sys.executable, str(HERE / "plain_trainer.py"), str(base), str(folder / "train.jsonl")]
    out, wall = timed([*command, str(folder / "test.jsonl"), "--epochs", str(epochs), *more])
    return {**json.loads(out.splitlines()[-1]), "wall_seconds": wall}


def ours(folder: Path, epochs: int) -> dict[str, float]:
    # The validation rows come on top of the training rows, so that both sides train on the same ones.
    target = folder / "classifier"
    files = ["--validation", str(folder / "validation.jsonl"), "--test", str(folder / "test.jsonl"), "--keep-shared"]
    command = [sys.executable, "-m", "classifine", "train", str(folder / "train.jsonl"), *files]
    out, wall = timed([*command, "--epochs", str(epochs), "-o", str(target), "--overwrite", "--json"])
    record = json.loads((target / "classifine.json").read_text(encoding="utf-8"))
    return {
        "rows_per_second": record["train_rows_per_second"],
        "wall_seconds": wall,
        "peak_memory_mib": record["peak_memory_mib"],
        "accuracy": json.loads(out)["metrics"]["accuracy"]["value"],
    }


def spread(values: list[float], digits: int) -> str:
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def table(results: dict[str, list[dict[str, float]]], test_rows: int) -> list[str]:
    lines = ["| side | rows/s | wall, s | peak memory, MiB | test accuracy | rows/s of classifine, times |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for side, runs in results.items():
        accuracy = statistics.mean(run["accuracy"] for run in runs)
        error = math.sqrt(accuracy * (1 - accuracy) / test_rows)
        ratios = [us["rows_per_second"] / run["rows_per_second"] for us, run in zip(results[OURS], runs, strict=True)]
        columns = [
            spread([run[key] for run in runs], d)
            for key, d in (("rows_per_second", 1), ("wall_seconds", 0), ("peak_memory_mib", 0))
        ]
        lines.append(f"| {side} | {' | '.join(columns)} | {accuracy:.4f} ± {error:.4f} | {spread(ratios, 2)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with ag_news/")
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--test-rows", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    if not (args.data / "ag_news").is_dir():
        sys.exit(f"No folder {args.data / 'ag_news'}. Name the folder that holds AG News with --data.")
    base = find_base(DEFAULT_BASE).folder
    results: dict[str, list[dict[str, float]]] = {PLAIN: [], PADDED: [], OURS: []}
    for repeat in range(args.repeats):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            sample(args.data / "ag_news" / "train_part.jsonl", folder / "both.jsonl", args.rows + 300, repeat)
            lines = (folder / "both.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
            (folder / "train.jsonl").write_text("".join(lines[: args.rows]), encoding="utf-8")
            (folder / "validation.jsonl").write_text("".join(lines[args.rows :]), encoding="utf-8")
            sample(args.data / "ag_news" / "test.jsonl", folder / "test.jsonl", args.test_rows, repeat)
            results[OURS].append(ours(folder, args.epochs))
            results[PLAIN].append(plain(base, folder, args.epochs))
            results[PADDED].append(plain(base, folder, args.epochs, "--pad-to", "256"))
    print(f"AG News, {args.rows} training rows, {args.epochs} epochs, {args.test_rows} test rows, {DEFAULT_BASE}\n")
    print("\n".join(table(results, args.test_rows)))


if __name__ == "__main__":
    main()
