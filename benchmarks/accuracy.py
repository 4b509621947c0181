"""What the defaults reach on three public sets, over seeds: `classifine train DATA --test FILE --seed N`, no other flag.

    python benchmarks/accuracy.py [--data DIR] [--sets twitter ag_news smsa] [--seeds 42 43 44] [--runs DIR]

Takes the sets as JSON lines from DIR. Every run is kept under --runs and not repeated, so that a long series can go
on where it stopped. Prints a table in Markdown: mean of each metric over the seeds with its spread (lowest to
highest), beside TF-IDF with logistic regression on the same rows, and the wall time of the whole command.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

SETS = {
    "twitter": ("twitter_financial_news_topic/train.jsonl", "twitter_financial_news_topic/validation.jsonl"),
    "ag_news": ("ag_news/train_part.jsonl", "ag_news/test.jsonl"),
    "smsa": ("smsa/train.jsonl", "smsa/valid.jsonl"),
}


def train(rows: Path, test: Path, name: str, seed: int, runs: Path) -> Path:
    """The folder of `name` trained with `seed`, of this run of the script or an earlier one."""
    folder, times = runs / f"{name}-{seed}", runs / f"{name}-{seed}.json"
    if times.exists():
        return folder
    command = [sys.executable, "-m", "classifine", "train", str(rows), "--test", str(test), "--seed", str(seed)]
    start = time.monotonic()
    with (runs / f"{name}-{seed}.log").open("w") as log:
        done = subprocess.run([*command, "-o", str(folder), "--overwrite"], stdout=log, stderr=log)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed; see {log.name}")
    times.write_text(json.dumps({"wall_seconds": time.monotonic() - start}), encoding="utf-8")
    return folder


def value(metric: float | dict[str, float]) -> float:
    """A metric with its interval, or without one as runs from before there were intervals have it."""
    return metric["value"] if isinstance(metric, dict) else metric


def spread(values: list[float], digits: int) -> str:
    return f"{statistics.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def line(name: str, seeds: list[int], runs: Path) -> str | None:
    done = [seed for seed in seeds if (runs / f"{name}-{seed}.json").exists()]
    if not done:
        return None
    folders = [runs / f"{name}-{seed}" for seed in done]
    evaluations = [json.loads((folder / "evaluation.json").read_text(encoding="utf-8")) for folder in folders]
    records = [json.loads((folder / "classifine.json").read_text(encoding="utf-8")) for folder in folders]
    walls = [json.loads(folder.with_name(f"{folder.name}.json").read_text())["wall_seconds"] for folder in folders]
    columns = [
        spread([value(found["metrics"]["accuracy"]) for found in evaluations], 4),
        spread([value(found["metrics"]["macro_f1"]) for found in evaluations], 4),
        spread([found["baselines"][1]["accuracy"] for found in evaluations], 4),
        " ".join(str(record["epochs_run"]) for record in records),
        spread([record["train_rows_per_second"] for record in records], 0),
        spread([seconds / 60 for seconds in walls], 1),
    ]
    return f"| {name} | {evaluations[0]['rows']} | {len(done)} | {' | '.join(columns)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43, 44])
    parser.add_argument("--runs", type=Path, default=Path("runs/accuracy"))
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for name in args.sets:
            train(*(args.data / file for file in SETS[name]), name, seed, args.runs)
    print("| set | test rows | seeds | accuracy | macro-F1 | TF-IDF accuracy | epochs | rows/s | minutes |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in args.sets:
        print(line(name, args.seeds, args.runs) or f"| {name} | no run yet |")


if __name__ == "__main__":
    main()
