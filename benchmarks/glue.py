"""GLUE's validation rows: `classifine glue TASK --seed N`, no other flag, beside a plain Trainer script, over seeds.

    python benchmarks/glue.py [--data DIR] [--tasks cola sst2 ...] [--seeds 42 43 44] [--side both] [--runs DIR]

The plain script (plain_trainer.py: 3 epochs, batches of 32, bfloat16, all train rows; SST-2 grouped by length to save time) is given its best of three
learning rates, chosen by its score with seed 42 on the very rows that are reported, which favours it. classifine cuts
a tenth off train to choose its epoch and never looks at the reported rows before. What a run reached is kept in
results/glue.jsonl and not measured again; classifiers and logs are under --runs. Prints a table in Markdown: mean of each
official metric over the seeds with its spread.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from results import Results, commits, spread
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from classifine.config import DEFAULT_BASE
from classifine.data.glue import GlueTask, read_glue, task_named
from classifine.model.base import find_base

HERE = Path(__file__).parent
TASKS = ["cola", "sst2", "mrpc", "stsb", "rte", "wnli"]
RATES = ["2e-5", "5e-5", "1e-4"]
Line = dict[str, Any]


def rows_of(part: Any) -> list[dict[str, Any]]:
    texts = ({"text": text} if isinstance(text, str) else {"text": text[0], "pair": text[1]} for text in part.texts)
    return [{**text, "label": label} for text, label in zip(texts, part.labels, strict=True)]


def write_rows(task: GlueTask, data: Path, folder: Path) -> list[Any]:
    """Write train and validation for the plain script; the labels of the validation rows."""
    splits = read_glue(task, str(data))
    for part in (splits.train, splits.test):
        target = folder / f"{task.name}-{part.name}.jsonl"
        if not target.exists():
            target.write_text("".join(json.dumps(row) + "\n" for row in rows_of(part)), encoding="utf-8")
    return [row["label"] for row in rows_of(splits.test)]


def run(command: list[str], log: Path) -> str:
    with log.open("w") as file:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=file, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed; see {log}")
    return done.stdout


def ours(task: GlueTask, data: Path, runs: Path, seed: int) -> dict[str, float]:
    """The official metrics of a run of classifine, whose classifier is left under `runs`."""
    place = runs / f"{task.name}-{seed}"
    flags = ["--data", str(data), "--seed", str(seed), "-o", str(place), "--overwrite", "--json"]
    out = run([sys.executable, "-m", "classifine", "glue", task.name, *flags], place.with_suffix(".log"))
    found = json.loads(out)[0]
    return {name: found[name] for name in task.metrics}


def plain(task: GlueTask, data: Path, runs: Path, seed: int, rate: str) -> dict[str, float]:
    """The official metrics of a run of the plain script."""
    answers = runs / f"{task.name}-{seed}-plain-{rate}.json"
    truth = write_rows(task, data, runs)
    files = [str(runs / f"{task.name}-{name}.jsonl") for name in ("train", "test")]
    flags = ["--epochs", "3", "--batch-size", "32", "--bf16", "--seed", str(seed), "--learning-rate", rate]
    flags += ["--group-by-length"] if task.name == "sst2" else []
    base = str(find_base(DEFAULT_BASE).folder)
    command = [sys.executable, str(HERE / "plain_trainer.py"), base, *files, *flags]
    run([*command, "--predictions", str(answers)], answers.with_suffix(".log"))
    return official(task, truth, json.loads(answers.read_text(encoding="utf-8")))


def official(task: GlueTask, truth: list[Any], answers: list[Any]) -> dict[str, float]:
    known = {
        "accuracy": accuracy_score,
        "f1": lambda true, given: f1_score(true, given, pos_label=task.labels[1]),
        "mcc": matthews_corrcoef,
        "pearson": lambda true, given: pearsonr(true, given).statistic,
        "spearman": lambda true, given: spearmanr(true, given).statistic,
    }
    return {name: float(known[name](truth, answers)) for name in task.metrics}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43, 44])
    parser.add_argument("--rates", nargs="+", choices=RATES, default=RATES, help="of the plain script")
    parser.add_argument("--side", choices=["both", "ours", "plain"], default="both")
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark-glue"))
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    results, every = Results("glue"), []
    print("| task | metric | classifine | plain Trainer | its learning rate |\n| --- | --- | --- | --- | --- |")
    for task in map(task_named, args.tasks):

        def own(seed: int, task: GlueTask = task) -> Line:
            return results.measured(
                lambda: ours(task, args.data, args.runs, seed), task=task.name, side="classifine", seed=seed
            )

        def other(seed: int, rate: str, task: GlueTask = task) -> Line:
            return results.measured(
                lambda: plain(task, args.data, args.runs, seed, rate),
                task=task.name, side="plain", seed=seed, rate=rate,
            )  # fmt: skip

        here, there, best = [], [], ""
        if args.side != "plain":
            here = [own(seed) for seed in args.seeds]
        if args.side != "ours":
            first = {rate: other(args.seeds[0], rate) for rate in args.rates}
            best = max(args.rates, key=lambda rate: first[rate][task.metrics[0]])
            there = [other(seed, best) for seed in args.seeds]
        every += [*here, *there]
        for name in task.metrics:
            # Of some lines the leading metric alone is known.
            sides = [
                spread([found[name] for found in side if all(name in one for one in side)]) for side in (here, there)
            ]
            print(f"| {task.submission} | {name} | {' | '.join(sides)} | {best} |", flush=True)
    print(f"\nSeeds {' '.join(map(str, args.seeds))}; rates {', '.join(args.rates)}. {commits(every)}")


if __name__ == "__main__":
    main()
