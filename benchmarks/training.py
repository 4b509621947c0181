"""Training rows per second: classifine beside a plain Trainer script, on three sets, in one run.

    python benchmarks/training.py [--data DIR] [--sets ag_news twitter reuters] [--rounds 5] [--seconds 8]

The plain script is as the tutorials write it: a Trainer with batches of 16, padded to their longest row (in float32 and
in bfloat16), or all to 256 or to 512 tokens. classifine trains by its defaults, and judges a tenth as many validation
rows after each epoch. Each side is a process that stays; in every round, in random order, each trains one epoch on as
many rows of one random sample as take about --seconds, starting from the base; loading, tokenising and a first step are
not counted. Texts are cut at 256 tokens (512 where they are padded to that). Prints a table in Markdown for each set:
rows per second and how many times classifine's they are (median and spread over the rounds), and which share of the rate
of large bfloat16 matrix products, measured in the same rounds, the network's own products come to (6 operations for
each weight outside the embeddings and each real token).
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from turns import in_turn, serve

from classifine.config import DEFAULT_BASE, Train, build
from classifine.data.encode import encode
from classifine.data.read import read_splits
from classifine.model.base import find_base
from classifine.model.network import load_base, quiet_transformers

SETS = {
    "ag_news": "ag_news/train_part.jsonl",
    "twitter": "twitter_financial_news_topic/train.jsonl",
    "reuters": "reuters21578_modapte/train.jsonl",
}
OURS, PRODUCTS = "classifine", "matrix products"
PLAIN = {
    "plain Trainer, float32, padded to the longest": {},
    "plain Trainer, bfloat16, padded to the longest": {"bf16": True},
    "plain Trainer, float32, padded to 256": {"pad_to": 256},
    "plain Trainer, float32, padded to 512": {"pad_to": 512},
}
SAMPLE, PLAIN_BATCH, CUT = 4096, 16, 256


class Trained:
    """How long an epoch on some rows takes, for one side."""

    def __init__(self, side: str, source: Path) -> None:
        from classifine.train.choose import choose
        from classifine.train.hardware import attention_on, look_at_hardware

        self._side = side
        found = read_splits(build({"data": {"source": str(source)}}).data)
        usable = [
            i
            for i, (text, names) in enumerate(zip(found.train.texts, found.train.names, strict=True))
            if text and names
        ]
        chosen = random.Random(0).sample(usable, min(SAMPLE, len(usable)))
        labels, base, hardware = found.label_set, find_base(DEFAULT_BASE), look_at_hardware()
        ours = side == OURS
        # The plain script takes whatever transformers takes by itself.
        self._fresh = lambda: load_base(base, labels, *(attention_on(hardware) if ours else (None, True)))
        network, self._tokenizer = self._fresh()
        self._weights = {name: weight.clone() for name, weight in network.state_dict().items()}
        self._network = network
        self._rows = encode(found.train.take(chosen), self._tokenizer, labels, PLAIN.get(side, {}).get("pad_to", CUT))
        self._recipe = choose(Train(epochs=1), hardware, SAMPLE, network.num_parameters(), CUT, labels.task)
        embedded = sum(weight.numel() for weight in network.get_input_embeddings().parameters())
        self.weights = network.num_parameters() - embedded

    def epoch(self, count: int) -> dict[str, float]:
        """Rows, real tokens and seconds of an epoch on the first `count` rows."""
        from transformers import TrainerCallback

        class Clock(TrainerCallback):
            def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
                self.start = time.perf_counter()

            def on_train_end(self, *args: Any, **kwargs: Any) -> None:
                self.seconds = time.perf_counter() - self.start

        self._network.load_state_dict(self._weights)
        rows, clock = self._rows.select(range(count)), Clock()
        with tempfile.TemporaryDirectory() as folder, quiet_transformers():
            (self._ours if self._side == OURS else self._plain)(rows, clock, folder)
        return {"rows": count, "tokens": sum(rows["length"][:]), "seconds": clock.seconds}

    def _ours(self, rows: Any, clock: Any, folder: str) -> None:
        from classifine.data.encode import pad_id
        from classifine.train.trainer import train

        steps = -(-len(rows) // self._recipe.batch_size)
        recipe = replace(self._recipe, steps=steps, warmup_steps=0, fallback_rate=None)
        validation = self._rows.select(range(len(self._rows) - max(8, len(rows) // 10), len(self._rows)))
        train(
            self._network, rows, validation, pad_id(self._tokenizer), recipe, folder, lambda line: None, None, [clock]
        )

    def _plain(self, rows: Any, clock: Any, folder: str) -> None:
        from transformers import DataCollatorWithPadding, PrinterCallback, Trainer, TrainingArguments

        settings = PLAIN[self._side]
        arguments = TrainingArguments(
            output_dir=folder, learning_rate=2e-5, per_device_train_batch_size=PLAIN_BATCH, num_train_epochs=1,
            weight_decay=0.01, save_strategy="no", report_to="none", disable_tqdm=True, logging_strategy="no",
            bf16=settings.get("bf16", False), use_cpu=True,
        )  # fmt: skip
        pad_to = settings.get("pad_to")
        padding = {"padding": "max_length", "max_length": pad_to} if pad_to else {}
        collator = DataCollatorWithPadding(self._tokenizer, **padding)
        trainer = Trainer(
            model=self._network, args=arguments, train_dataset=rows.remove_columns("length"), data_collator=collator,
            processing_class=self._tokenizer, callbacks=[clock],
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()


def products(seconds: float) -> dict[str, float]:
    """Operations a second of large bfloat16 matrix products."""
    import torch

    size = 2048
    one, other = (torch.randn(size, size, dtype=torch.bfloat16) for _ in range(2))
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds / 4:
        one @ other
        count += 1
    return {"rate": 2 * size**3 * count / (time.perf_counter() - start)}


def work(side: str, source: Path, seconds: float) -> None:
    """Measure one side whenever it is its turn."""
    ask: Callable[[], dict[str, float]]
    if side == PRODUCTS:
        products(seconds)
        ask, weights = (lambda: products(seconds)), 0
    else:
        trained, batch = Trained(side, source), 32 if side == OURS else PLAIN_BATCH
        count = batch
        # A few steps say little: the first ones lay out memory, and an epoch has costs of its own.
        while (tried := trained.epoch(count))["seconds"] < seconds / 2 and count < SAMPLE // 2:
            count *= 2
        count = min(SAMPLE // 2, batch * max(1, round(seconds * tried["rows"] / tried["seconds"] / batch)))
        ask, weights = (lambda: trained.epoch(count)), trained.weights
    serve({"weights": weights}, ask)


def spread(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def measured(source: Path, rounds: int, seconds: float) -> tuple[dict[str, list[dict[str, float]]], int]:
    """(every side's rounds, the weights outside the embeddings)."""
    rest = ["--source", str(source), "--seconds", str(seconds)]
    ready, results = in_turn({side: [__file__, "--side", side, *rest] for side in (OURS, *PLAIN, PRODUCTS)}, rounds)
    return results, max(int(said["weights"]) for said in ready.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        work(args.side, args.source, args.seconds)
        return
    if not (args.data / "ag_news").is_dir():
        sys.exit(f"No folder {args.data / 'ag_news'}. Name the folder that holds the sets with --data.")
    for name in args.sets:
        results, weights = measured(args.data / SETS[name], args.rounds, args.seconds)
        mine = [run["rows"] / run["seconds"] for run in results[OURS]]
        tokens = np.mean([run["tokens"] / run["rows"] for run in results[OURS]])
        print(f"\n{name}: {tokens:.0f} tokens on average, {args.rounds} rounds, {DEFAULT_BASE}\n")
        print("| side | rows/s | classifine's, times | share of the matrix-product rate |\n| --- | --- | --- | --- |")
        for side in (OURS, *PLAIN):
            rates = [run["rows"] / run["seconds"] for run in results[side]]
            ratios = [own / other for own, other in zip(mine, rates, strict=True)]
            runs = zip(results[side], results[PRODUCTS], strict=True)
            shares = [100 * 6 * weights * run["tokens"] / run["seconds"] / top["rate"] for run, top in runs]
            print(f"| {side} | {spread(rates, 1)} | {spread(ratios, 2)} | {spread(shares, 0)} % |", flush=True)


if __name__ == "__main__":
    main()
