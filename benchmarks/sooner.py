"""How much sooner classifine reaches an accuracy than a plain Trainer script: processor seconds of training until it is there.

    python benchmarks/sooner.py [--data DIR] [--sets twitter ag_news] [--sides ...]

The plain script is the one of training.py in float32, padded to the longest row of a batch, for three epochs at each of
three learning rates; at 2e-5 also for two, the tutorials' own settings. classifine trains by its defaults, and with an
epoch less than these, and is judged by the mean of its weights, which is what it keeps. A tenth of an epoch apart the test
rows are judged, in bfloat16, while the clock stands (of AG News every fourth). A run of the plain script ends once the
wanted accuracy is reached, or once another of its rates was there sooner; the others go on to their end. The plain script's
best rate is the one that is there first, which favours it. Every run has one thread, and its clock is the time of that
thread on its processor, so that several can go on side by side and be interrupted; it takes hours. What a run found is kept
in results/sooner.jsonl and not repeated, so a series may be made in parts (--sides), on machines of one kind; sides that
were never run are left out of the table. Prints one in Markdown for each set.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from results import Results, commits, in_own_process
from training import CUT, OURS, PLAIN_BATCH
from transformers import TrainerCallback

from classifine.config import DEFAULT_BASE, build
from classifine.data.check import check_splits
from classifine.data.encode import encode, pad_id
from classifine.data.read import read_splits
from classifine.data.split import prepared
from classifine.infer.forward import logits
from classifine.infer.torch_engine import TorchEngine
from classifine.model.base import find_base
from classifine.model.network import load_base, quiet_transformers
from classifine.train.averaging import Average

# Train and test rows, the accuracy that is wanted, every how many-th test row is judged, an epoch less than our default.
SETS = {
    "twitter": (
        "twitter_financial_news_topic/train.jsonl",
        "twitter_financial_news_topic/validation.jsonl",
        0.89,
        1,
        2,
    ),
    "ag_news": ("ag_news/train_part.jsonl", "ag_news/test.jsonl", 0.92, 4, 1),
}
SHORTER = "classifine, an epoch less"
OWN = (OURS, SHORTER)
TUTORIAL = "tutorial"
# Learning rate and epochs; the tutorial's run goes on to its end.
PLAIN = {"1e-4": (1e-4, 3), "5e-5": (5e-5, 3), "2e-5": (2e-5, 3), TUTORIAL: (2e-5, 2)}
LOOKS = 10  # an epoch


class Until(TrainerCallback):
    """Judges the test rows while the clock stands, and ends the training once `wanted` is reached or `limit` passed."""

    def __init__(self, rows: Any, pad: int, wanted: float, limit: float | None) -> None:
        self._columns = {name: rows[name][:] for name in rows.column_names if name not in ("length", "labels")}
        self._truth, self._pad = np.array(rows["labels"][:]), pad
        self._wanted, self._limit = wanted, float("inf") if limit is None else limit
        self.seconds, self.seen = 0.0, list[tuple[float, float]]()
        self.average: Average | None = None  # whose weights are judged, as what classifine would save

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._since = time.process_time()

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.global_step % max(1, state.max_steps // state.num_train_epochs // LOOKS):
            return
        self.seconds += time.process_time() - self._since
        with self.average.standing_in(model, state.global_step) if self.average else contextlib.nullcontext():
            answers = logits(TorchEngine(model, "bf16"), self._columns, self._pad).argmax(axis=1)
        self.seen.append((self.seconds, float((answers == self._truth).mean())))
        control.should_training_stop = self.seen[-1][1] >= self._wanted or self.seconds > self._limit
        self._since = time.process_time()


def trained(side: str, name: str, limit: float | None, data: Path) -> dict[str, Any]:
    """The looks at the test rows of one run of so many seconds at most: seconds of training and accuracy."""
    from classifine.train.choose import choose
    from classifine.train.hardware import attention_on, look_at_hardware

    train, test, wanted, every, fewer = SETS[name]
    ours = side in OWN
    epochs = {"epochs": fewer} if side == SHORTER else {}
    config = build({"data": {"source": str(data / train), "test": str(data / test)}, "train": epochs})
    found = read_splits(config.data)
    three, labels = prepared(found, check_splits(found, config.data).faults, config.data, config.train.seed)
    base, hardware = find_base(DEFAULT_BASE), look_at_hardware()
    network, tokenizer = load_base(base, labels, *(attention_on(hardware) if ours else (None, True)))
    rows, validation, judged = (encode(part, tokenizer, labels, CUT) for part in three.all)
    seen = judged.select(range(0, len(judged), every))
    until = Until(seen, pad_id(tokenizer), 2 if ours or side == TUTORIAL else wanted, limit)
    with tempfile.TemporaryDirectory() as folder, quiet_transformers():
        if ours:
            from classifine.train import trainer

            def averaging() -> Average:
                until.average = Average()
                return until.average

            trainer.Average = averaging  # type: ignore[assignment,misc]
            recipe = choose(config.train, hardware, len(rows), network.num_parameters(), CUT, labels.task)
            trainer.train(network, rows, validation, pad_id(tokenizer), recipe, folder, lambda _: None, None, [until])
        else:
            plain(network, tokenizer, rows, *PLAIN[side], until, folder)
    return {"rows": len(rows), "seen": until.seen}


def plain(network: Any, tokenizer: Any, rows: Any, rate: float, epochs: int, until: Until, folder: str) -> None:
    """A Trainer as the tutorials set it up."""
    from transformers import DataCollatorWithPadding, PrinterCallback, Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir=folder, learning_rate=rate, per_device_train_batch_size=PLAIN_BATCH, num_train_epochs=epochs,
        weight_decay=0.01, save_strategy="no", report_to="none", disable_tqdm=True, logging_strategy="no", use_cpu=True,
    )  # fmt: skip
    trainer = Trainer(
        model=network, args=arguments, train_dataset=rows.remove_columns("length"),
        data_collator=DataCollatorWithPadding(tokenizer), processing_class=tokenizer, callbacks=[until],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def looks(name: str, side: str, limit: float | None, args: argparse.Namespace) -> dict[str, Any]:
    """A run of now or before, cut off after `limit` seconds; without a look for one not asked for and never made."""
    results, cell = Results("sooner"), {"set": name, "side": side}
    if side not in args.sides:
        return results.find(**cell) or {"seen": [], "processor": None}
    # What was cut off earlier says nothing of what comes later.
    cell["limit"] = limit
    return results.measured(
        lambda: in_own_process(__file__, cell, ["--data", str(args.data)], Path("runs/sooner")), **cell
    )


def first(seen: list[list[float]], wanted: float) -> float | None:
    """The seconds until an accuracy is reached."""
    return next((seconds for seconds, accuracy in seen if accuracy >= wanted), None)


def told(side: str, accuracy: float, own: float | None, by: str, other: float | None) -> str:
    """A line of the table; of what was not reached "never"."""
    times = f"{other / own:.1f}" if own is not None and other is not None else "-"
    mine, theirs = ("never" if one is None else f"{one:.0f}" for one in (own, other))
    return f"| {side} | {accuracy:.3f} | {mine} | {by} | {theirs} | {times} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--sides", nargs="*", choices=[*OWN, *PLAIN], default=[*OWN, *PLAIN])
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)  # also told of the runs, each of which comes through here
    if args.one:
        print(json.dumps(trained(args.one["side"], args.one["set"], args.one["limit"], args.data)))
        return
    for name in args.sets:
        wanted, soonest, best, runs = SETS[name][2], None, "", dict[str, dict[str, Any]]()
        for side in (*OWN, *PLAIN):
            whole = side in OWN or side == TUTORIAL
            runs[side] = looks(name, side, None if whole else soonest, args)
            there = first(runs[side]["seen"], wanted)
            if side in PLAIN and there is not None and (soonest is None or there < soonest):
                soonest, best = there, side
        if len({run["processor"] for run in runs.values() if run["seen"]}) > 1:
            sys.exit(f"The lines of {name} in results/sooner.jsonl come from machines of several kinds. Take some out.")
        tutorial = runs[TUTORIAL]["seen"]
        if not any(runs[side]["seen"] for side in OWN) or not any(runs[side]["seen"] for side in PLAIN):
            continue
        print(f"\n{name}: {commits([run for run in runs.values() if run['seen']])}\n")
        print("| side | accuracy | it is there after, s | the other | the other, s | times |\n" + "| --- " * 6 + "|")
        by = f"plain Trainer at {PLAIN[best][0]:g}" if best else "plain Trainer"
        for side in OWN:
            if own := runs[side]["seen"]:
                print(told(side, wanted, first(own, wanted), by, soonest))
                if tutorial:
                    seconds, final = tutorial[-1]
                    print(told(side, final, first(own, final), "the tutorials' settings", seconds))


if __name__ == "__main__":
    main()
