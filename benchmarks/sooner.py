"""How much sooner classifine reaches an accuracy than a plain Trainer script: seconds of training until it is there.

    python benchmarks/sooner.py [--data DIR] [--sets twitter ag_news] [--sides ...] [--runs DIR]

The plain script is the one of training.py in float32, padded to the longest row of a batch, for three epochs at each of
three learning rates; at 2e-5 also for two, the tutorials' own settings. classifine trains by its defaults. A tenth of
an epoch apart the test rows are judged while the clock stands (of AG News every fourth), and a run ends once the wanted
accuracy is reached. The plain script's best rate is the one that is there first, which favours it. Every run is kept
under --runs and not repeated; run it on an idle machine. Prints a table in Markdown for each set.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from training import CUT, OURS, PLAIN_BATCH
from transformers import TrainerCallback

from classifine.config import DEFAULT_BASE, build
from classifine.data.check import check_splits
from classifine.data.encode import encode, pad_id
from classifine.data.read import read_splits
from classifine.data.split import prepared
from classifine.infer.engine import TorchEngine
from classifine.infer.forward import logits
from classifine.model.base import find_base
from classifine.model.network import load_base, quiet_transformers

# Train and test rows, the accuracy that is wanted, every how many-th test row is judged.
SETS = {
    "twitter": ("twitter_financial_news_topic/train.jsonl", "twitter_financial_news_topic/validation.jsonl", 0.89, 1),
    "ag_news": ("ag_news/train_part.jsonl", "ag_news/test.jsonl", 0.92, 4),
}
TUTORIAL = "tutorial"
# Learning rate and epochs; the tutorial's run goes on to its end.
PLAIN = {TUTORIAL: (2e-5, 2), "2e-5": (2e-5, 3), "5e-5": (5e-5, 3), "1e-4": (1e-4, 3)}
LOOKS = 10  # an epoch


class Until(TrainerCallback):
    """Judges the test rows while the clock stands, and ends the training once `wanted` is reached."""

    def __init__(self, rows: Any, pad: int, wanted: float) -> None:
        self._columns = {name: rows[name][:] for name in rows.column_names if name not in ("length", "labels")}
        self._truth, self._pad, self._wanted = np.array(rows["labels"][:]), pad, wanted
        self.seconds, self.seen = 0.0, list[tuple[float, float]]()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._since = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.global_step % max(1, state.max_steps // state.num_train_epochs // LOOKS):
            return
        self.seconds += time.perf_counter() - self._since
        training = model.training
        answers = logits(TorchEngine(model.eval()), self._columns, self._pad).argmax(axis=1)
        model.train(training)
        self.seen.append((self.seconds, float((answers == self._truth).mean())))
        control.should_training_stop = self.seen[-1][1] >= self._wanted
        self._since = time.perf_counter()


def trained(side: str, name: str, data: Path) -> dict[str, Any]:
    """The looks at the test rows of one run: seconds of training and accuracy."""
    from classifine.train.choose import choose
    from classifine.train.hardware import attention_on, look_at_hardware

    train, test, wanted, every = SETS[name]
    config = build({"data": {"source": str(data / train), "test": str(data / test)}})
    found = read_splits(config.data)
    three, labels = prepared(found, check_splits(found, config.data).faults, config.data, config.train.seed)
    base, hardware = find_base(DEFAULT_BASE), look_at_hardware()
    network, tokenizer = load_base(base, labels, *(attention_on(hardware) if side == OURS else (None, True)))
    rows, validation, judged = (encode(part, tokenizer, labels, CUT) for part in three.all)
    until = Until(judged.select(range(0, len(judged), every)), pad_id(tokenizer), 2 if side == TUTORIAL else wanted)
    with tempfile.TemporaryDirectory() as folder, quiet_transformers():
        if side == OURS:
            from classifine.train.trainer import train as fit

            recipe = choose(config.train, hardware, len(rows), network.num_parameters(), CUT, labels.task)
            fit(network, rows, validation, pad_id(tokenizer), recipe, folder, print, None, [until])
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


def kept(side: str, name: str, args: argparse.Namespace) -> list[list[float]] | None:
    """The looks of a run of now or before, of which none is made for a side that was not asked for."""
    place = args.runs / f"{name}-{side}.json"
    if not place.exists() and side in args.sides:
        command = [sys.executable, __file__, "--data", str(args.data), "--one", name, side, str(place)]
        if subprocess.run(command).returncode:
            sys.exit(f"{side} on {name} failed; its reason stands above.")
    return json.loads(place.read_text(encoding="utf-8"))["seen"] if place.exists() else None


def first(seen: list[list[float]] | None, wanted: float) -> float:
    return next((seconds for seconds, accuracy in seen or [] if accuracy >= wanted), float("inf"))


def told(own: float, other: float) -> str:
    return f"{other / own:.1f}" if other < float("inf") else "never"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--sides", nargs="*", choices=[OURS, *PLAIN], default=[OURS, *PLAIN])
    parser.add_argument("--runs", type=Path, default=Path("runs/sooner"))
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        name, side, place = args.one
        Path(place).write_text(json.dumps(trained(side, name, args.data)), encoding="utf-8")
        return
    args.runs.mkdir(parents=True, exist_ok=True)
    for name in args.sets:
        wanted, runs = SETS[name][2], {side: kept(side, name, args) for side in (OURS, *PLAIN)}
        own, tutorial = runs.pop(OURS), runs[TUTORIAL]
        print(
            f"\n{name}\n\n| accuracy | reached by | classifine, s | the other, s | times |\n| --- | --- | --- | --- | --- |"
        )
        best = min(PLAIN, key=lambda side: first(runs[side], wanted))
        here, there = first(own, wanted), first(runs[best], wanted)
        print(f"| {wanted} | plain Trainer at {PLAIN[best][0]:g} | {here:.0f} | {there:.0f} | {told(here, there)} |")
        if tutorial:
            seconds, final = tutorial[-1]
            here = first(own, final)
            print(f"| {final:.3f} | the tutorials' settings | {here:.0f} | {seconds:.0f} | {told(here, seconds)} |")


if __name__ == "__main__":
    main()
