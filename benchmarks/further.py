"""How far one gets with more than the defaults: a base adapted to the texts of train first, several seeds averaged.

    python benchmarks/further.py [--data DIR] [--ways smsa ...] [--seeds 42 43 44] [--runs DIR]

Each way is two commands at most: `classifine adapt` on the texts of the train file, once, and `classifine train` on that
base with every seed. Test rows have no part in either, with one exception that is marked: `smsa, chosen on test` takes
its best epoch by the file that it is judged on, as the tutorials do, so that their numbers have something to stand beside.
Ways with `English` share a base that learned from the English texts of eight train files which of their tokens were
replaced; `cola` is `classifine glue cola` on it, judged on its dev rows. Ways that are `taught` learn by `classifine
distill` what classifiers of runs before answer to the train texts, on average; those runs are made first, by this script
and by accuracy.py, in the same folder.
What a run reached is kept in results/further.jsonl and not measured again. Prints a table in Markdown: mean of each metric
over the seeds with its spread, beside TF-IDF with logistic regression, and the wall time of both commands.
"""

import argparse
import json
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accuracy import SETS
from results import Results, commits, spread

from classifine.config import DEFAULT_BASE

CLI = [sys.executable, "-m", "classifine"]


@dataclass(frozen=True)
class Way:
    """A set, the flags of `adapt` (None: no adapting) and those of `train`; `chosen_on_test` where the epoch is.

    Adapting reads the files of `texts`, or where there are none the train rows. `glue` is the task, if it is one. With
    `teachers`, folders of runs, the flags are those of `distill`.
    """

    name: str
    adapt: tuple[str, ...] | None
    train: tuple[str, ...] = ()
    chosen_on_test: bool = False
    texts: tuple[str, ...] = ()
    glue: str | None = None
    teachers: tuple[str, ...] = ()


def taught_by_seeds(name: str, count: int, *flags: str) -> Way:
    """A network taught by the defaults' runs with so many seeds, from 42 on, which accuracy.py makes."""
    return Way(name, None, flags, teachers=tuple(f"accuracy/{name}-{seed}" for seed in range(42, 42 + count)))


ENGLISH = (
    "glue_cola/train.jsonl", "glue_sst2/train.jsonl", "glue_mrpc/train.jsonl", "glue_stsb/train.jsonl",
    "glue_rte/train.jsonl", "ag_news/train_part.jsonl", "go_emotions/train.jsonl",
    "twitter_financial_news_topic/train.jsonl",
)  # fmt: skip
REPLACED = ("--objective", "replaced", "--max-rows", "60000", "--max-length", "64", "--batch-size", "64")
METRICS = ("accuracy", "macro_f1", "mcc")
WAYS = {
    "smsa": Way("smsa", ()),
    "smsa, chosen on test": Way("smsa", (), ("--metric", "accuracy"), chosen_on_test=True),
    "twitter": Way("twitter", (), ("--seeds", "3", "--keep", "average")),
    "ag_news": Way("ag_news", (), ("--seeds", "3", "--keep", "average")),
    "cola, English": Way("cola", REPLACED, texts=ENGLISH, glue="cola"),
    "twitter, English": Way("twitter", REPLACED, texts=ENGLISH),
    # Up to twice the time an epoch, and less is learned by heart, so that more of them pay.
    "twitter, R-Drop": Way("twitter", None, ("--epochs", "4", "--r-drop", "1")),
    "ag_news, R-Drop": Way("ag_news", None, ("--epochs", "3", "--r-drop", "1")),
    "twitter, taught": Way(
        "twitter",
        None,
        ("--epochs", "4", "--label", "label_name"),
        teachers=("accuracy/twitter-44", "further/twitter-R-Drop-42", "further/twitter-42"),
    ),
    # What a teacher answers is not learned by heart as soon as labels are.
    "twitter, taught by seeds": taught_by_seeds("twitter", 3, "--epochs", "6", "--label", "label_name"),
    "twitter, taught by five seeds": taught_by_seeds("twitter", 5, "--epochs", "6", "--label", "label_name"),
    "ag_news, taught by seeds": taught_by_seeds("ag_news", 3, "--epochs", "3"),
    "ag_news, taught": Way(
        "ag_news",
        None,
        ("--epochs", "3"),
        teachers=("accuracy/ag_news-44", "further/ag_news-R-Drop-42"),
    ),
}


def called(command: list[str], log: Path) -> float:
    """Run a command of classifine, its words to a log; the seconds that it took."""
    start = time.monotonic()
    with log.open("w") as file:
        if subprocess.run([*CLI, *command], stdout=file, stderr=file).returncode:
            sys.exit(f"{' '.join(command)} failed; see {log}")
    return time.monotonic() - start


def adapted(way: Way, texts: list[Path], runs: Path) -> tuple[list[str], float]:
    """(flags that name the base, seconds of adapting it), of now or an earlier run of the script."""
    if way.adapt is None:
        return [], 0.0
    which = f"{zlib.crc32(repr(way.texts).encode()):08x}" if way.texts else way.name
    name = "-".join([which, *(flag.strip("-") for flag in way.adapt), "base"])
    folder, took = runs / name, runs / f"{name}.json"
    if not took.exists():
        seconds = called(
            ["adapt", *map(str, texts), "-o", str(folder), "--overwrite", *way.adapt], runs / f"{name}.log"
        )
        took.write_text(json.dumps(seconds), encoding="utf-8")
    return ["--base", str(folder)], json.loads(took.read_text(encoding="utf-8"))


def measure(way: Way, title: str, seed: int, data: Path, runs: Path) -> dict[str, Any]:
    rows, test = (data / file for file in SETS.get(way.name, ("", "")))
    base, before = adapted(way, [data / file for file in way.texts] or [rows], runs)
    folder = runs / f"{title.replace(', ', '-').replace(' ', '-')}-{seed}"
    given = ["train", str(rows), "--validation" if way.chosen_on_test else "--test", str(test)]
    if way.glue is not None:
        given = ["glue", way.glue, "--data", str(data)]
    if way.teachers:
        first, *others = (str(runs.parent / teacher) for teacher in way.teachers)
        given = ["distill", first, str(rows), "--base", DEFAULT_BASE, "--test", str(test)]
        given += [part for other in others for part in ("--teacher", other)]
    seconds = called(
        [*given, "--seed", str(seed), "-o", str(folder), "--overwrite", *base, *way.train],
        folder.with_suffix(".log"),
    )
    record = json.loads((folder / "classifine.json").read_text(encoding="utf-8"))
    evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    reached = {name: evaluation["metrics"][name]["value"] for name in METRICS}
    count, simpler = evaluation["rows"], None
    if not way.teachers:
        simpler = evaluation["baselines"][1]["accuracy"]
    if way.chosen_on_test:
        lines = (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
        best = json.loads(lines[record["best_epoch"] - 1])["validation"]
        reached, count, simpler = {name: best[name] for name in reached}, record["rows"]["validation"], None
    if way.teachers:
        of_teachers = record["distilled"]["test"]["teacher"]
        reached |= {f"teachers_{name}": found["value"] for name, found in of_teachers.items()}
    return {
        **reached, "rows": count, "tfidf": simpler, "epochs": record["epochs_run"],
        "adapting_minutes": before / 60, "minutes": seconds / 60,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43, 44])
    parser.add_argument("--runs", type=Path, default=Path("runs/further"))
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    kept, every = Results("further"), list[dict[str, Any]]()
    print(
        "| set | test rows | seeds | accuracy | macro-F1 | MCC | TF-IDF | the teachers' mean answers | minutes of adapting | of training |"
    )
    print("| --- " * 10 + "|")
    for title in args.ways:
        way, found = WAYS[title], list[dict[str, Any]]()
        for seed in args.seeds:

            def run(way: Way = way, title: str = title, seed: int = seed) -> dict[str, Any]:
                return measure(way, title, seed, args.data, args.runs)

            asked: dict[str, Any] = {
                "adapt": list(way.adapt) if way.adapt is not None else None, "train": list(way.train),
                **({"texts": list(way.texts)} if way.texts else {}),
                **({"teachers": list(way.teachers)} if way.teachers else {}),
            }  # fmt: skip
            found.append(kept.measured(run, way=title, seed=seed, **asked))
        # The first runs kept no MCC.
        columns = [spread([one[key] for one in found]) if all(key in one for one in found) else "" for key in METRICS]
        columns.append(spread([one["tfidf"] for one in found]) if found[0]["tfidf"] is not None else "")
        columns.append(spread([one["teachers_accuracy"] for one in found]) if way.teachers else "")
        columns += [spread([one[key] for one in found], 1) for key in ("adapting_minutes", "minutes")]
        print(f"| {title} | {found[0]['rows']} | {len(found)} | {' | '.join(columns)} |", flush=True)
        every += found
    print(f"\n{commits(every)}")


if __name__ == "__main__":
    main()
