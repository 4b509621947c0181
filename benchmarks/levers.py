"""What each lever of fine-tuning does to accuracy, one at a time beside the defaults, on rows that are cut from train.

    python benchmarks/levers.py [--data DIR] [--sets mrpc rte ...] [--levers ...] [--seeds 1 2]

Takes the sets from DIR, each cut to so many rows as train in minutes, two of them also with more. A quarter of the train rows (of
Twitter, AG News and SmSA three fifths, of GoEmotions half, of more of AG News a fifth), with all rows that share a text
with them, is set aside and judged once; the official dev and test rows have no part in it, so a default that is chosen by
this table may be judged by them. A seed draws the cut, the head and the order, and every lever meets the same
cuts. What a run reached is kept in results/levers.jsonl and not measured again. Prints a table in Markdown: the metric of
the defaults, and the difference to it seed by seed, in points of a hundred, with the time; then each lever over all sets.
So many comparisons bring some differences by chance: what is worth a default is better on most sets, and by twice the
standard error over them.
"""

import argparse
import json
import math
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from results import Results, commits, in_own_process, spread, times
from transformers import TrainerCallback

from classifine import run
from classifine.config import DEFAULT_BASE, build
from classifine.data.glue import read_glue, task_named
from classifine.data.read import Split, Splits, read_splits
from classifine.data.split import _cut as cut
from classifine.data.split import sampled
from classifine.train import fit as fitting
from classifine.train import judged

SENTENCE = 6  # words; what is shorter and part of no other row of SST-2 may be a phrase whose sentence was left out
# Rows at most, the share of them to judge by, and the metric that is compared. Of large sets more rows can be spared for it.
SETS: dict[str, tuple[int | None, float, str]] = {
    "mrpc": (None, 0.25, "accuracy"), "rte": (None, 0.25, "accuracy"), "stsb": (None, 0.25, "pearson"),
    "cola": (None, 0.25, "mcc"), "sst2": (16_000, 0.25, "accuracy"), "twitter": (4000, 0.6, "accuracy"),
    "ag_news": (4000, 0.6, "accuracy"), "smsa": (4000, 0.6, "accuracy"), "go_emotions": (8000, 0.5, "macro_f1"),
    "twitter, all": (None, 0.25, "accuracy"), "ag_news, more": (15_000, 0.2, "accuracy"),
}  # fmt: skip
FILES = {
    "twitter": "twitter_financial_news_topic/train.jsonl",
    "twitter, all": "twitter_financial_news_topic/train.jsonl",
    "ag_news": "ag_news/train_part.jsonl",
    "ag_news, more": "ag_news/train_part.jsonl",
    "smsa": "smsa/train.jsonl",
    "go_emotions": "go_emotions/train.jsonl",
}
LEVERS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "no similarity first": {"pair_similarity": False},
    "R-Drop": {"r_drop": 1.0},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "no mean of the weights": {"averaging": False},
    "batches of 16": {"batch_size": 16},
    "cosine": {"schedule": "cosine"},
    "sharpness-aware": {"optimizer": "sam"},
    "more epochs": {"times_epochs": 2},
    "rate x 4": {"times_rate": 4},
    "rate x 2": {"times_rate": 2},
    "rate / 1.5": {"times_rate": 2 / 3},
    "rate / 2": {"times_rate": 0.5},
    "rates falling by 0.9 a layer": {"layer_decay": 0.9},
    "top layer anew": {"fresh_layers": 1},
}
# What has no setting, as it is here to be measured first.
OWN = ("times_epochs", "times_rate", "layer_decay", "fresh_layers")


def splits_of(name: str, data: Path, seed: int) -> Splits:
    rows, share, _ = SETS[name]
    if name in FILES:
        found = read_splits(build({"data": {"source": str(data / FILES[name])}}).data)
    else:
        found = read_glue(task_named(name), str(data))
    if name == "sst2":
        train, test = sentences_apart(found.train, share, seed)
        return replace(found, train=sampled(train, rows, 0), validation=None, test=replace(test, name="test"))
    few = sampled(found.train, rows, 0)
    # More than a run sets aside by itself.
    train, test = cut(few, round(share * len(few)), "test", seed)
    return replace(found, train=train, validation=None, test=test)


def sentences_apart(phrases: Split, share: float, seed: int) -> tuple[Split, Split]:
    """(train, test) of SST-2, whose train rows are phrases: whole sentences to judge by, and all phrases of the others."""
    whole: list[str] = []
    of_word: dict[str, list[int]] = defaultdict(list)
    sentence_of: list[int] = []
    texts = [f" {text.strip()} " for text in phrases.texts]
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    for i in order:
        words = texts[i].split()
        known = min((of_word[word] for word in words), key=len, default=[])
        parent = next((place for place in known if texts[i] in whole[place]), None)
        if parent is None:
            parent = len(whole)
            whole.append(texts[i])
            for word in set(words):
                of_word[word].append(parent)
        sentence_of.append(parent)
    held_out = set(random.Random(seed).sample(range(len(whole)), round(share * len(whole))))
    # The first row of a sentence is the longest.
    first = {parent: i for i, parent in reversed(list(zip(order, sentence_of, strict=True)))}
    test = [first[parent] for parent in sorted(held_out) if len(whole[parent].split()) >= SENTENCE]
    train = [i for i, parent in zip(order, sentence_of, strict=True) if parent not in held_out]
    return phrases.take(sorted(train)), phrases.take(sorted(test))


class Fresh(TrainerCallback):
    """Gives the topmost layers of an encoder weights of their own (Zhang et al. 2021, "Revisiting Few-sample BERT Fine-tuning")."""

    def __init__(self, layers: int) -> None:
        self._layers = layers

    @torch.no_grad()
    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        for layer in model.base_model.encoder.layer[-self._layers :]:
            for part in layer.modules():
                # transformers' own initialisation leaves weights alone that were loaded.
                if isinstance(part, torch.nn.Linear):
                    part.weight.normal_(0, model.config.initializer_range)
                    part.bias.zero_()
                elif isinstance(part, torch.nn.LayerNorm):
                    part.reset_parameters()


def falling(decay: float) -> Callable[..., Any]:
    """An optimiser whose rate falls by `decay` from each layer to the one below (Howard & Ruder 2018)."""
    plain = judged.JudgedTrainer.create_optimizer

    def create(trainer: Any, *args: Any, **kwargs: Any) -> Any:
        optimizer, encoder = plain(trainer, *args, **kwargs), trainer.model.base_model
        layers = [encoder.embeddings, *encoder.encoder.layer]
        for below, layer in enumerate(reversed(layers)):
            judged._quicken(optimizer, list(layer.parameters()), decay**below)
        return optimizer

    return create


def measure(name: str, lever: str, seed: int, data: Path) -> dict[str, Any]:
    wish = dict(LEVERS[lever])
    own = {key: wish.pop(key) for key in OWN if key in wish}
    config = build(
        {
            "data": {"source": str(data)},
            "model": {"base": DEFAULT_BASE},
            "train": {"seed": seed, **wish},
        }
    )
    prepared = run.prepare(config, lambda line: None, splits_of(name, data, seed))
    three = prepared.three
    if "times_epochs" in own or "times_rate" in own:
        planned = recipe_of(prepared, config)
        more: dict[str, Any] = {}
        if "times_epochs" in own:
            more["epochs"] = round(planned.epochs * own["times_epochs"])
        if "times_rate" in own:
            # A rate that is named has no lower one to fall back to.
            more["learning_rate"] = planned.learning_rate * own["times_rate"]
        config = config.model_copy(update={"train": config.train.model_copy(update=more)})
    if "layer_decay" in own:
        judged.JudgedTrainer.create_optimizer = falling(own["layer_decay"])  # type: ignore[method-assign]
    # It holds back networks that learned nothing, but not where a lever names the rate or the epochs.
    fitting.in_our_way = lambda *given: False  # type: ignore[assignment]
    callbacks = [Fresh(own["fresh_layers"])] if "fresh_layers" in own else []
    start = time.monotonic()
    fitted = fitting.fit(
        three.train, three.validation, prepared.columns, prepared.labels, prepared.base, config,
        lambda line: print(line, file=sys.stderr, flush=True), callbacks=callbacks,
    )  # fmt: skip
    seconds = time.monotonic() - start
    reached = run.metrics_on(fitted.classifier, three.test)
    best = fitted.training.history[fitted.training.best_epoch - 1]["validation"]
    metric = SETS[name][2]
    return {
        "metric": metric, "value": reached[metric], "macro_f1": reached.get("macro_f1"), "validation": best.get(metric),
        "best_epoch": fitted.training.best_epoch, "rows": len(three.train), "test_rows": len(three.test), "seconds": seconds,
    }  # fmt: skip


def recipe_of(prepared: Any, config: Any) -> Any:
    """What would be chosen for these rows."""
    from classifine.train.ready import ready

    return ready(prepared.three.train, prepared.labels, prepared.base, config, lambda line: None)[2]


def points(found: list[dict[str, Any]], plain: list[dict[str, Any]]) -> list[float]:
    """How many points of a hundred more than the defaults, seed by seed."""
    return [100 * (one["value"] - base["value"]) for one, base in zip(found, plain, strict=True)]


def table(results: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
    print("| set | lever | seeds | points more than the defaults | time |")
    print("| --- " * 5 + "|")
    for (name, lever), found in results.items():
        plain = results[name, "defaults"]
        gains = points(found, plain)
        shown = f"{statistics.mean(gains):+.2f} ({', '.join(f'{gain:+.2f}' for gain in gains)})"
        if lever == "defaults":
            shown = f"{found[0]['metric']} {spread([one['value'] for one in found])}, {found[0]['test_rows']} test rows"
        print(f"| {name} | {lever} | {len(found)} | {shown} | {spread(times(found, plain), 2)} |")


def over_all(results: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
    print("| lever | sets | better on | points more, mean of the sets' means | standard error of that |")
    print("| --- " * 5 + "|")
    for lever in dict.fromkeys(lever for _, lever in results if lever != "defaults"):
        means = [
            statistics.mean(points(found, results[name, "defaults"]))
            for (name, own), found in results.items() if own == lever
        ]  # fmt: skip
        error = f"{statistics.stdev(means) / math.sqrt(len(means)):.2f}" if len(means) > 1 else "-"
        better = sum(mean > 0 for mean in means)
        print(f"| {lever} | {len(means)} | {better} | {statistics.mean(means):+.2f} | {error} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--levers", nargs="+", choices=list(LEVERS), default=list(LEVERS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/levers"))
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one["set"], args.one["lever"], args.one["seed"], args.data)))
        return
    kept = Results("levers")
    results: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for name in args.sets:
        for lever in dict.fromkeys(["defaults", *args.levers]):
            for seed in args.seeds:
                cell = {"set": name, "lever": lever, "seed": seed}
                flags = ["--data", str(args.data)]
                found = kept.measured(
                    lambda cell=cell, flags=flags: in_own_process(__file__, cell, flags, args.runs), **cell
                )
                results.setdefault((name, lever), []).append(found)
    table(results)
    print()
    over_all(results)
    print(f"\n{commits([one for found in results.values() for one in found])}")


if __name__ == "__main__":
    main()
