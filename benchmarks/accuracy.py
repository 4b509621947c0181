"""What the defaults reach on four public sets, over seeds: `classifine train DATA --test FILE --seed N`, no other flag.

    python benchmarks/accuracy.py [--data DIR] [--sets twitter ag_news smsa go_emotions] [--seeds 42 43 44] [--runs DIR]

Takes the sets as JSON lines from DIR. What a run reached is kept in results/accuracy.jsonl and not measured again, so that
a long series can go on where it stopped; the classifiers are under --runs. Prints a table in Markdown: mean of each metric over the seeds with its spread (lowest to
highest; of several labels a text micro-F1 in the place of accuracy), beside TF-IDF with logistic regression on the same rows, and the wall time of the whole command; and in
another what is there so that the result can be trusted adds to that time.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from results import Results, commits, spread
from timed import ADDED

SETS = {
    "twitter": ("twitter_financial_news_topic/train.jsonl", "twitter_financial_news_topic/validation.jsonl"),
    "ag_news": ("ag_news/train_part.jsonl", "ag_news/test.jsonl"),
    "smsa": ("smsa/train.jsonl", "smsa/valid.jsonl"),
    "go_emotions": ("go_emotions/train.jsonl", "go_emotions/dev.jsonl"),
}


def train(rows: Path, test: Path, name: str, seed: int, runs: Path) -> Path:
    """The folder of `name` trained with `seed`, of this run of the script or an earlier one."""
    folder, times = runs / f"{name}-{seed}", runs / f"{name}-{seed}.json"
    if times.exists():
        return folder
    timed = [sys.executable, str(Path(__file__).with_name("timed.py")), str(times)]
    command = [*timed, "train", str(rows), "--test", str(test), "--seed", str(seed)]
    with (runs / f"{name}-{seed}.log").open("w") as log:
        done = subprocess.run([*command, "-o", str(folder), "--overwrite"], stdout=log, stderr=log)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed; see {log.name}")
    return folder


def numbers(folder: Path) -> dict[str, Any]:
    """What the table shows of a run."""
    evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    record = json.loads((folder / "classifine.json").read_text(encoding="utf-8"))
    took = json.loads(folder.with_name(f"{folder.name}.json").read_text(encoding="utf-8"))
    first = "accuracy" if record["task"] == "single" else "micro_f1"
    return {
        "rows": evaluation["rows"],
        first: evaluation["metrics"][first]["value"],
        "macro_f1": evaluation["metrics"]["macro_f1"]["value"],
        "tfidf": evaluation["baselines"][1][first],
        "epochs": record["epochs_run"],
        "rows_per_second": record["train_rows_per_second"],
        "minutes": took["wall_seconds"] / 60,
        "parts": took["parts"],
        **took["origin"],
    }


def line(name: str, found: list[dict[str, Any]]) -> str:
    first = "accuracy" if "accuracy" in found[0] else "micro_f1"
    columns = [
        *(spread([one[key] for one in found]) for key in (first, "macro_f1", "tfidf")),
        " ".join(str(one["epochs"]) for one in found),
        spread([one["rows_per_second"] for one in found], 0),
        spread([one["minutes"] for one in found], 1),
    ]
    return f"| {name} | {found[0]['rows']} | {len(found)} | {' | '.join(columns)} |"


def added(name: str, found: list[dict[str, Any]]) -> str:
    """What the parts that make a result trusted take, and how much that adds to the time of the rest."""
    parts = [spread([one["parts"][part] for one in found], 1) for part in ADDED]
    more = [sum(one["parts"][part] for part in ADDED) for one in found]
    # Explanations are apart: neither are they counted, nor do they lengthen what the others are compared with.
    rest = [60 * one["minutes"] - one["parts"]["explanations"] - own for one, own in zip(found, more, strict=True)]
    share = spread([100 * own / other for own, other in zip(more, rest, strict=True)], 1)
    return f"| {name} | {' | '.join(parts)} | {share} | {spread([one['parts']['explanations'] for one in found], 1)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43, 44])
    parser.add_argument("--runs", type=Path, default=Path("runs/accuracy"))
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    kept = Results("accuracy")
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in args.sets}
    for seed in args.seeds:
        for name, found in results.items():

            def run(name: str = name, seed: int = seed) -> dict[str, Any]:
                return numbers(train(*(args.data / file for file in SETS[name]), name, seed, args.runs))

            found.append(kept.measured(run, set=name, seed=seed))
    print(
        "| set | test rows | seeds | accuracy or micro-F1 | macro-F1 | the first of TF-IDF | epochs | rows/s | minutes |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, found in results.items():
        print(line(name, found))
    print(f"\n| set, seconds of | {' | '.join(ADDED)} | all of them add, % | explanations |")
    print("| --- " * (len(ADDED) + 3) + "|")
    for name, found in results.items():
        print(added(name, found))
    print(f"\n{commits([one for found in results.values() for one in found])}")


if __name__ == "__main__":
    main()
