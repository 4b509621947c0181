"""Long documents: the beginning, head and tail, or all in windows. Reuters-21578 (115 topics, several a text), over seeds.

    python benchmarks/long.py [--data DIR] [--seeds 42 43 44] [--rows N] [--max-length 256] [--ways ...] [--runs DIR]

Each run is `classifine train ... --long WAY --seed N` on the rows of the ModApte split's train part that have a topic,
title and text as one; validation is cut from them, and the test part's rows with a topic are judged once. `--rows` trains
and judges on so many only, for a trial. What a run reached is kept in results/long.jsonl and not measured again. Prints a
table in Markdown: mean and spread of micro-F1 and macro-F1, of all test rows and micro-F1 of the longest quarter of them, what
plain transformers reaches with the same weights, and the minutes of training.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from results import Results, commits, spread

SET = "reuters21578_modapte"
WAYS = ("truncate", "head-tail", "windows")
BASE = "sentence-transformers/all-MiniLM-L6-v2"


def documents(data: Path, part: str) -> list[dict[str, Any]]:
    """The rows of a part that have a topic, as `text` and `topics`."""
    rows = map(json.loads, (data / SET / f"{part}.jsonl").read_text(encoding="utf-8").splitlines())
    return [
        {"text": f"{row['title']}\n{row['text']}".strip(), "topics": row["topics"]} for row in rows if row["topics"]
    ]


def prepare(data: Path, rows: int | None, place: Path) -> None:
    """The files that every run reads: train, and test without rows that have a label which train lacks."""
    train, test = documents(data, "train"), documents(data, "test")
    if rows:
        # Spread over the set, whose order is that of time.
        train, test = train[:: max(1, len(train) // rows)][:rows], test[:: max(1, len(test) // rows)][:rows]
    for name, found in (("train", train), ("test", test)):
        (place / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")


def longest(folder: Path) -> float:
    """Micro-F1 on the quarter of the test rows with the most words: where what is read of a text can matter."""
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = sorted(rows, key=lambda row: len(row["text"].split()))[-max(1, len(rows) // 4) :]
    true, given = ([set(row[key]) for row in rows] for key in ("truth", "prediction"))
    hits = sum(len(one & other) for one, other in zip(true, given, strict=True))
    return 2 * hits / max(1, sum(map(len, true)) + sum(map(len, given)))


def run(args: Any, way: str, seed: int, place: Path) -> dict[str, Any]:
    """One run's numbers."""
    name = f"{way}-{args.max_length}-{args.rows or 'all'}-{seed}"
    folder = args.runs / name
    flags = ["--test", str(place / "test.jsonl"), "--text", "text", "--label", "topics", "--task", "multi"]
    flags += [
        "--drop-unseen",
        "--drop-conflicts",
        "--base",
        args.base,
        "--max-length",
        str(args.max_length),
        "--long",
        way,
    ]
    flags += ["--seed", str(seed), *(["--epochs", str(args.epochs)] if args.epochs else []), "--overwrite"]
    command = [sys.executable, "-m", "classifine", "train", str(place / "train.jsonl"), *flags, "-o", str(folder)]
    with (args.runs / f"{name}.log").open("w") as log:
        if subprocess.run(command, stdout=log, stderr=log).returncode:
            sys.exit(f"{' '.join(command)} failed; see {log.name}")
    evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    record = json.loads((folder / "classifine.json").read_text(encoding="utf-8"))
    found = {name: evaluation["metrics"][name]["value"] for name in ("micro_f1", "macro_f1")}
    found |= {"longest": longest(folder), "plain": evaluation.get("plain", found)["micro_f1"]}
    found |= {
        "minutes": record["train_seconds"] / 60,
        "epochs": record["epochs_run"],
        "memory": record["peak_memory_mib"],
    }
    found |= {"longer": record["train_rows_cut"] / record["rows"]["train"], "test_rows": evaluation["rows"]}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43, 44])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--rows", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--base", default=BASE)
    parser.add_argument("--runs", type=Path, default=Path("runs/long"))
    args = parser.parse_args()
    if not (args.data / SET).is_dir():
        sys.exit(f"No folder {args.data / SET}. Name the folder that holds the sets with --data.")
    args.runs.mkdir(parents=True, exist_ok=True)
    kept = Results("long")
    which = {"rows": args.rows, "max_length": args.max_length, "base": args.base, "epochs_asked": args.epochs}
    results: dict[str, list[dict[str, Any]]] = {way: [] for way in args.ways}
    with tempfile.TemporaryDirectory() as name:
        prepare(args.data, args.rows, Path(name))
        for seed in args.seeds:
            for way, found in results.items():

                def one(way: str = way, seed: int = seed) -> dict[str, Any]:
                    return run(args, way, seed, Path(name))

                found.append(kept.measured(one, way=way, seed=seed, **which))
    some = results[args.ways[0]][0]
    print(
        f"{args.max_length} tokens at once; {some['longer']:.0%} of the training texts are longer; {some['test_rows']} test rows; seeds {' '.join(map(str, args.seeds))}\n"
    )
    print(
        "| --long | micro-F1 | macro-F1 | micro-F1, longest quarter | micro-F1, plain transformers | epochs | minutes | MiB |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for way, found in results.items():
        columns = [spread([run[key] for run in found], 4) for key in ("micro_f1", "macro_f1", "longest", "plain")]
        columns += [" ".join(str(run["epochs"]) for run in found), spread([run["minutes"] for run in found], 1)]
        columns.append(str(max(run["memory"] or 0 for run in found)))
        print(f"| {way} | {' | '.join(columns)} |")
    print(f"\n{commits([one for found in results.values() for one in found])}")


if __name__ == "__main__":
    main()
