"""Sharpness-aware minimisation on and off where rows are few: Twitter financial topics cut to 500 rows, over seeds.

    python benchmarks/sharpness.py [--data DIR] [--seeds 42 43 44 45 46] [--rows 500] [--optimizers AdamW SAM] [--runs DIR]

Each run is `classifine train ... --method finetune --max-train-rows 500 --seed N` with one of the optimisers, judged on all validation
rows of the set, which have no part in training or choosing. What a run reached is kept in results/sharpness.jsonl and not
measured again. Prints a table in Markdown: mean and spread of accuracy and macro-F1, the difference to AdamW seed by seed, and the time.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from results import Results, commits, spread, times

SET = ("twitter_financial_news_topic/train.jsonl", "twitter_financial_news_topic/validation.jsonl")
OPTIMIZERS = {
    "AdamW": [],
    "SAM": ["--optimizer", "sam"],
    "SAM, ascent on a quarter": ["--optimizer", "sam", "--ascent-share", "0.25"],
    "adaptive SAM": ["--optimizer", "asam"],
}


def train(data: Path, rows: int, name: str, seed: int, runs: Path) -> dict[str, Any]:
    folder = runs / f"{'-'.join(name.replace(',', '').lower().split())}-{seed}"
    source, test = (str(data / file) for file in SET)
    flags = ["--method", "finetune", "--test", test, "--max-train-rows", str(rows), "--seed", str(seed)]
    flags += OPTIMIZERS[name]
    command = [sys.executable, "-m", "classifine", "train", source, *flags, "-o", str(folder), "--overwrite"]
    with folder.with_suffix(".log").open("w") as log:
        if subprocess.run(command, stdout=log, stderr=log).returncode:
            sys.exit(f"{' '.join(command)} failed; see {log.name}")
    found = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["metrics"]
    record = json.loads((folder / "classifine.json").read_text(encoding="utf-8"))
    epoch = record["train_seconds"] / record["epochs_run"]
    return {"accuracy": found["accuracy"]["value"], "macro_f1": found["macro_f1"]["value"], "seconds": epoch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43, 44, 45, 46])
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--optimizers", nargs="+", choices=list(OPTIMIZERS), default=list(OPTIMIZERS))
    parser.add_argument("--runs", type=Path, default=Path("runs/sharpness"))
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    kept = Results("sharpness")
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in dict.fromkeys(["AdamW", *args.optimizers])}
    for seed in args.seeds:
        for name, found in results.items():

            def run(name: str = name, seed: int = seed) -> dict[str, Any]:
                return train(args.data, args.rows, name, seed, args.runs)

            found.append(kept.measured(run, optimizer=name, rows=args.rows, seed=seed))
    every = [line for lines in results.values() for line in lines]
    print(f"{args.rows} rows, seeds {' '.join(map(str, args.seeds))}. {commits(every)}\n")
    print("| optimiser | accuracy | macro-F1 | accuracy, difference to AdamW | time of an epoch, times AdamW's |")
    print("| --- | --- | --- | --- | --- |")
    plain = results["AdamW"]
    for name, found in results.items():
        gains = [run["accuracy"] - base["accuracy"] for run, base in zip(found, plain, strict=True)]
        costs = times(found, plain)
        columns = [spread([run[key] for run in found], 4) for key in ("accuracy", "macro_f1")]
        print(f"| {name} | {' | '.join(columns)} | {spread(gains, 4)} | {spread(costs, 2)} |")


if __name__ == "__main__":
    main()
