"""Rows per second of a trained classifier: every engine of classifine beside what others offer, in one run.

    python benchmarks/inference.py [--data DIR] [--sets ag_news twitter reuters] [--rows 600] [--rounds 5] [--runs DIR]

For each set a classifier is trained once (on 3,000 rows for 3 epochs, kept under --runs) and exported four ways. Then each side
answers the same test rows in a process of its own that stays, round after round in random order: transformers' pipeline one
text at a time and in batches of 32, the CrossEncoder of sentence-transformers, ONNX Runtime in float32 on batches of
32, and classifine with each engine. Loading and a first time through the rows are not counted; tokenising is. Prints a table in
Markdown for each set: rows per second, how many times the pipeline at its best (median and spread over the rounds),
milliseconds for one short text, the headline metric on these rows, and the share of answers that torch gives in float32.
"""

import argparse
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from turns import in_turn, serve

from classifine.config import build
from classifine.data.columns import Columns
from classifine.data.read import read_to_judge
from classifine.infer.choose import open_engine
from classifine.infer.predict import text_logits
from classifine.metrics import HEADLINE, judge
from classifine.model.folder import Saved, load

SETS = {
    "ag_news": ("ag_news/train_part.jsonl", "ag_news/test.jsonl"),
    "twitter": ("twitter_financial_news_topic/train.jsonl", "twitter_financial_news_topic/validation.jsonl"),
    "reuters": ("reuters21578_modapte/train.jsonl", "reuters21578_modapte/test.jsonl"),
}
PIPELINES = ("pipeline, one by one", "pipeline, batches of 32")
OTHERS = ("sentence-transformers CrossEncoder", "ONNX Runtime float32, batches of 32")
OURS = (
    "torch float32",
    "torch bf16",
    "openvino float32",
    "openvino bf16",
    "openvino int8",
    "onnx float32",
    "onnx int8",
)
SHORT = "shares rise after the report"


def prepare(name: str, data: Path, runs: Path) -> Path:
    """The folder of a trained classifier of a set with all its exports."""
    folder = runs / name
    train, test = (str(data / file) for file in SETS[name])
    if not folder.exists():
        flags = [
            "--test",
            test,
            "--max-train-rows",
            "3000",
            "--max-eval-rows",
            "1000",
            "--epochs",
            "3",
            "--drop-unseen",
            "-o",
            str(folder),
        ]
        classifine("train", train, *flags)
    for target in ("openvino", "onnx"):
        for more in ([], ["--int8", "--max-drop", "100"]):
            if len(list((folder / target).glob("*.json"))) < 1 + bool(more):
                classifine("export", str(folder), "--to", target, *more)
    return folder


def classifine(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "classifine", *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"classifine {' '.join(words)} failed:\n{done.stderr[-2000:]}")


def rows_of(saved: Saved, data: Path, name: str, count: int) -> tuple[list[Any], np.ndarray]:
    """(texts, truth) of a random sample of the test rows."""
    config = build({"data": {"source": str(data / SETS[name][1])}}).data
    rows = read_to_judge(config, Columns.from_json(saved.record["columns"], saved.labels.task)).train
    known = set(saved.labels.names)
    both = zip(rows.texts, rows.names, strict=True)
    usable = [i for i, (text, names) in enumerate(both) if text and names and known >= set(names)]
    rows = rows.take(sorted(random.Random(0).sample(usable, min(count, len(usable)))))
    return rows.texts, saved.labels.targets(rows.labels)


def answerer(side: str, folder: Path, saved: Saved) -> Callable[[list[str]], np.ndarray]:
    """A function from texts to scores (texts, labels)."""
    if side in OURS:
        engine = open_engine(saved, *side.split())
        return lambda texts: saved.decision.scores(text_logits(saved, texts, engine))
    if side in PIPELINES:
        from transformers import pipeline

        size = 1 if side == PIPELINES[0] else 32
        pipe = pipeline("text-classification", str(folder), top_k=None, truncation=True)
        names = saved.labels.names

        def by_pipeline(texts: list[str]) -> np.ndarray:
            found = [{one["label"]: one["score"] for one in answer} for answer in pipe(texts, batch_size=size)]
            return np.array([[answer[name] for name in names] for answer in found])

        return by_pipeline
    if side == OTHERS[0]:
        from sentence_transformers import CrossEncoder

        encoder = CrossEncoder(str(folder), max_length=saved.max_length)
        # A CrossEncoder reads pairs only: the second text is empty, which costs it one token.
        return lambda texts: saved.decision.scores(cross(encoder, texts))
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])
    return lambda texts: saved.decision.scores(np.concatenate([onnx(session, saved, part) for part in parts(texts)]))


def cross(encoder: Any, texts: list[str]) -> np.ndarray:
    import torch

    return encoder.predict(
        [(text, "") for text in texts], batch_size=32, activation_fn=torch.nn.Identity(), show_progress_bar=False
    ).reshape(len(texts), -1)


def onnx(session: Any, saved: Saved, texts: list[str]) -> np.ndarray:
    batch = saved.tokenizer(texts, padding=True, truncation=True, max_length=saved.max_length, return_tensors="np")
    return session.run(None, {port.name: batch[port.name] for port in session.get_inputs()})[0]


def parts(texts: list[str]) -> list[list[str]]:
    return [texts[start : start + 32] for start in range(0, len(texts), 32)]


def work(side: str, folder: Path, data: Path, name: str, count: int) -> None:
    """Answer the rows whenever it is this side's turn, in this process."""
    saved = load(folder)
    texts, truth = rows_of(saved, data, name, count)
    answer = answerer(side, folder, saved)
    answer(texts)
    metric = HEADLINE[saved.labels.task][0]

    def measure() -> dict[str, Any]:
        start = time.perf_counter()
        scores = answer(texts)
        seconds = time.perf_counter() - start
        singles = []
        for _ in range(60):
            begin = time.perf_counter()
            answer([SHORT])
            singles.append(1000 * (time.perf_counter() - begin))
        given = saved.decision.choose(scores)
        return {
            "rows_per_second": len(texts) / seconds, "one_text_ms": statistics.median(singles[10:]),
            "metric": judge(truth, scores, saved.decision)[metric], "name": metric, "answers": given.tolist(),
        }  # fmt: skip

    serve({}, measure)


def spread(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def table(found: dict[str, list[dict[str, Any]]], name: str) -> None:
    exact = found[OURS[0]][0]["answers"]
    best = max(PIPELINES, key=lambda side: statistics.median(run["rows_per_second"] for run in found[side]))
    metric = found[best][0]["name"]
    print(
        f"\n{name}\n\n| side | rows/s | times the pipeline at its best | one text, ms | {metric} | answers of torch float32 |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for side, runs in found.items():
        rate = [run["rows_per_second"] for run in runs]
        ratios = [mine / theirs["rows_per_second"] for mine, theirs in zip(rate, found[best], strict=False)]
        same = np.mean([a == b for a, b in zip(runs[0]["answers"], exact, strict=True)])
        cells = [spread(rate, 0), spread(ratios, 2), spread([run["one_text_ms"] for run in runs], 1)]
        print(f"| {side} | {' | '.join(cells)} | {runs[0]['metric']:.4f} | {same:.1%} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark-inference"))
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        work(args.side, args.folder, args.data, args.sets[0], args.rows)
        return
    for name in args.sets:
        folder = prepare(name, args.data, args.runs)
        rest = ["--folder", str(folder), "--data", str(args.data), "--sets", name, "--rows", str(args.rows)]
        sides = (*PIPELINES, *OTHERS, *OURS)
        _, found = in_turn({side: [__file__, "--side", side, *rest] for side in sides}, args.rounds)
        table(found, name)


if __name__ == "__main__":
    main()
