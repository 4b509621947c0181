"""Methods for few labels, and the package setfit, on the same rows of three sets with the same base.

    python benchmarks/few_labels.py [--data DIR] [--sets ag_news sst2 twitter] [--counts 8 16 32 64] [--methods ...]
        [--seeds 0 1 2 3 4] [--fewer-seeds 3] [--setfit-steps 500] [--test-rows 2000] [--runs DIR]

Takes the sets as JSON lines from DIR. For each set, number of rows a class and seed it draws train rows (all that a class
has where there are fewer), fits each method to them in a process of its own, and judges it on test rows that are the same
for all. Classifine sets a tenth of the train rows aside first, as it does for everybody, and by the methods for few labels it
learns anew from all in the end, which is in its seconds; setfit learns from all of them. Both are given the labels by name, as
their sets have them, which setfit makes no use of; `lp-ft, no names` does not either. Counts
above 16 take the first --fewer-seeds seeds. `auto` is the run of the method that it chooses. `self-training` has the
texts of --unlabelled other train rows besides: those that a first classifier is surest of, half of each label, are learned
from by a second one as if their labels were true. Of SST-2, whose train rows are phrases, those of eight words and more
are drawn, and its 872 labelled dev rows are the test rows.

setfit (1.2, `pip install setfit evaluate`) runs with its own defaults but for --setfit-steps: its pairs grow with the
square of the rows, and 64 rows of each of 20 classes would take weeks on a processor.

What a run reached is kept in results/few_labels.jsonl and not measured again, so that a long series can go on where it
stopped. Prints a table in Markdown: mean of each metric over the seeds with its spread (lowest to highest), and the seconds of fitting.
"""

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from results import Results, commits, in_own_process, spread

from classifine.config import DEFAULT_BASE, Model, Train
from classifine.train.method import Labelled, choose_method

Rows = list[tuple[str, str]]
AUTO = "auto"
METHODS: dict[str, dict[str, str]] = {
    AUTO: {}, "probe": {"method": "probe"}, "finetune": {"method": "finetune"},
    "sam": {"method": "finetune", "optimizer": "sam"}, "lp-ft": {"method": "lp-ft"},
    "lp-ft, no names": {"method": "lp-ft", "label_names": False},
    "contrastive": {"method": "contrastive"}, "self-training": {}, "setfit": {},
}  # fmt: skip
METRICS = ("accuracy", "macro_f1", "ece")
MANY_SEEDS_UP_TO = 16  # rows a class
SHORTEST = 8  # words of a row of SST-2


def news(row: dict[str, Any]) -> tuple[str, str]:
    return f"{row['title']}. {row['description']}", str(row["label"])


def tweet(row: dict[str, Any]) -> tuple[str, str]:
    return row["text"], row["label_name"]


def review(row: dict[str, Any]) -> tuple[str, str]:
    return row["sentence"].strip(), ("negative", "positive")[row["label"]]


SETS: dict[str, tuple[str, str, Callable[[dict[str, Any]], tuple[str, str]]]] = {
    "ag_news": ("ag_news/train_part.jsonl", "ag_news/test.jsonl", news),
    "sst2": ("glue_sst2/train.jsonl", "glue_sst2/dev.jsonl", review),
    "twitter": (
        "twitter_financial_news_topic/train.jsonl", "twitter_financial_news_topic/validation.jsonl", tweet,
    ),
}  # fmt: skip


def read(path: Path, of: Callable[[dict[str, Any]], tuple[str, str]]) -> Rows:
    with path.open(encoding="utf-8") as lines:
        return [of(json.loads(line)) for line in lines]


def drawn(name: str, data: Path, count: int, seed: int, test_rows: int) -> tuple[Rows, Rows, Rows]:
    """(train rows, test rows, other train rows): so many of each class by seed, and the same test rows for every seed."""
    train_file, test_file, of = SETS[name]
    test = read(data / test_file, of)
    test = random.Random(0).sample(test, min(test_rows, len(test)))
    known = {text for text, _ in test}
    rows = [row for row in dict.fromkeys(read(data / train_file, of)) if row[0].strip() and row[0] not in known]
    if name == "sst2":
        rows = [row for row in rows if len(row[0].split()) >= SHORTEST]
    random.Random(seed).shuffle(rows)
    taken: Counter[str] = Counter()
    chosen: Rows = []
    others: Rows = []
    for text, label in rows:
        (chosen if taken[label] < count else others).append((text, label))
        taken[label] += 1
    return chosen, test, others


def measure(method: str, train: Rows, test: Rows, more: list[str], seed: int, setfit_steps: int) -> dict[str, Any]:
    texts, labels = [text for text, _ in train], [label for _, label in train]
    asked, truth = [text for text, _ in test], [label for _, label in test]
    import classifine.train.fit  # noqa: F401  # no side's time is that of its imports
    from classifine import TextClassifier

    start = time.monotonic()
    if method == "setfit":
        scores, names, seconds = by_setfit(texts, labels, asked, seed, setfit_steps)
    elif method == "self-training":
        classifier = self_trained(texts, labels, more, seed)
        seconds = time.monotonic() - start
        names, scores = [str(name) for name in classifier.classes_], classifier.predict_proba(asked)
    else:
        classifier = TextClassifier(base=DEFAULT_BASE, seed=seed, **METHODS[method]).fit(texts, labels)
        seconds = time.monotonic() - start
        names, scores = [str(name) for name in classifier.classes_], classifier.predict_proba(asked)
    return {**judged(scores, names, truth), "seconds": seconds, "rows": len(train)}


def self_trained(texts: list[str], labels: list[str], more: list[str], seed: int) -> Any:
    """A classifier that learned from labelled texts and from what another one is surest of in `more`."""
    from classifine import TextClassifier

    first = TextClassifier(base=DEFAULT_BASE, seed=seed).fit(texts, labels)
    scores = first.predict_proba(more)
    found, sure = scores.argmax(axis=1), scores.max(axis=1)
    taken: list[int] = []
    for label in range(scores.shape[1]):
        own = np.flatnonzero(found == label)
        taken += own[np.argsort(-sure[own])][: max(1, len(own) // 2)].tolist()
    guessed = [str(first.classes_[found[i]]) for i in taken]
    return TextClassifier(base=DEFAULT_BASE, seed=seed).fit([*texts, *(more[i] for i in taken)], [*labels, *guessed])


def judged(scores: Any, names: list[str], truth: list[str]) -> dict[str, float]:
    from classifine.decide import Decision
    from classifine.metrics import judge

    found = judge(np.array([names.index(label) for label in truth]), np.asarray(scores), Decision("single"))
    return {name: found[name] for name in METRICS}


def by_setfit(
    texts: list[str], labels: list[str], asked: list[str], seed: int, most: int
) -> tuple[Any, list[str], float]:
    """(scores (rows, labels), names, seconds of loading and fitting) of setfit as it comes, in `most` steps at most."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    from classifine.model.base import find_base

    names = sorted(set(labels))
    pairs = len(texts) * (len(texts) + 1) // 2
    alike = sum(count * (count + 1) // 2 for count in Counter(labels).values())
    batch = TrainingArguments().batch_size[0]
    own_steps = 2 * max(alike, pairs - alike) // batch
    start = time.monotonic()
    model = SetFitModel.from_pretrained(str(find_base(DEFAULT_BASE).folder))
    with tempfile.TemporaryDirectory() as folder:
        wanted = TrainingArguments(
            output_dir=folder, seed=seed, report_to="none", show_progress_bar=False, save_strategy="no",
            max_steps=most if own_steps > most else -1,
        )  # fmt: skip
        rows = Dataset.from_dict({"text": texts, "label": [names.index(label) for label in labels]})
        Trainer(model=model, args=wanted, train_dataset=rows).train()
    seconds = time.monotonic() - start
    return model.predict_proba(asked, as_numpy=True), names, seconds


def chosen_by_auto(name: str, count: int, args: Any) -> str:
    """The method that `--method auto` takes for so many rows a class, whose run is its own: a seed gives one network."""
    labels = [label for _, label in drawn(name, args.data, count, args.seeds[0], args.test_rows)[0]]
    return choose_method(Train(), Model(), Labelled(len(labels), len(set(labels)), "single", False, True))[0]


def asked_of(method: str, args: Any) -> dict[str, Any]:
    """What else a cell hangs on."""
    own = {"setfit": {"steps": args.setfit_steps}, "self-training": {"texts": args.unlabelled}}
    return {"test_rows": args.test_rows, **own.get(method, {})}


def table(results: dict[tuple[str, int, str], list[dict[str, Any]]]) -> None:
    print("| set | rows a class | method | seeds | accuracy | macro-F1 | ECE | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for (name, count, method), found in results.items():
        columns = [spread([one[key] for one in found], 3) for key in METRICS]
        columns.append(spread([one["seconds"] for one in found], 0))
        shown = f"auto ({found[0]['method']})" if method == AUTO else method
        print(f"| {name} | {count} | {shown} | {len(found)} | {' | '.join(columns)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--counts", nargs="+", type=int, default=[8, 16, 32, 64])
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--fewer-seeds", type=int, default=3)
    parser.add_argument("--setfit-steps", type=int, default=500)
    parser.add_argument("--unlabelled", type=int, default=2000)
    parser.add_argument("--test-rows", type=int, default=2000)
    parser.add_argument("--runs", type=Path, default=Path("runs/few_labels"))
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        cell = args.one
        train, test, others = drawn(cell["set"], args.data, cell["count"], cell["seed"], cell["test_rows"])
        more = [text for text, _ in others[: cell.get("texts", 0)]]
        print(json.dumps(measure(cell["method"], train, test, more, cell["seed"], cell.get("steps", 0))))
        return
    kept = Results("few_labels")
    results: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for count in args.counts:
        seeds = args.seeds if count <= MANY_SEEDS_UP_TO else args.seeds[: args.fewer_seeds]
        for name in args.sets:
            for method in args.methods:
                fitted = chosen_by_auto(name, count, args) if method == AUTO else method
                for seed in seeds:
                    cell = {"set": name, "count": count, "method": fitted, "seed": seed, **asked_of(fitted, args)}
                    flags = ["--data", str(args.data)]
                    found = kept.measured(
                        lambda cell=cell, flags=flags: in_own_process(__file__, cell, flags, args.runs), **cell
                    )
                    results.setdefault((name, count, method), []).append(found)
    table(results)
    print(f"\n{commits([one for found in results.values() for one in found])}")


if __name__ == "__main__":
    main()
