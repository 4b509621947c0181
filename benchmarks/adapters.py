"""Rows per second and memory of adapters beside full fine-tuning, on a network of BERT-base's size, in one run.

    python benchmarks/adapters.py [--data DIR] [--rounds 5] [--rows 256] [--kinds lora dora rslora]

The network has random weights (12 layers of 768, 110M weights) and the vocabulary of the default base; the rows are of
AG News, cut at 256 tokens, so that lengths are those of real texts. Each side trains one epoch by classifine's recipe, in
every round in a process of its own, in random order; loading and tokenising are not counted in the rate. Memory is the
peak of the whole process while training, above what it held before a network was there. Afterwards each side's network
is saved, and the folder, loaded by plain transformers, must give the same answers. Prints a table in Markdown: median and
spread over the rounds, ratios taken round by round.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from classifine.config import DEFAULT_BASE, Model, Train, build

FULL = "full fine-tuning"
KINDS = ("lora", "dora", "rslora")
SET = "ag_news/train_part.jsonl"
CUT, JUDGED = 256, 8


def make_base(folder: Path) -> None:
    """A BERT of base size with random weights, and the tokenizer of the default base."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    from classifine.model.base import find_base
    from classifine.model.network import quiet_transformers

    torch.manual_seed(0)
    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(find_base(DEFAULT_BASE).folder)
        BertModel(BertConfig(vocab_size=len(tokenizer))).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def measure(side: str, base: Path, source: Path, count: int, seed: int) -> dict[str, float]:
    """One epoch on `count` rows: rows per second, MiB above what there was before, the largest difference of answers."""
    from classifine.data.encode import encode, pad_id
    from classifine.data.read import read_splits
    from classifine.infer.forward import logits
    from classifine.infer.torch_engine import TorchEngine
    from classifine.model.base import find_base
    from classifine.model.network import load_base, quiet_transformers
    from classifine.train.choose import choose
    from classifine.train.hardware import attention_on, look_at_hardware
    from classifine.train.lesson import input_columns
    from classifine.train.memory import peak_memory_mib
    from classifine.train.ready import adapted, seeded
    from classifine.train.trainer import train

    found = read_splits(build({"data": {"source": str(source)}}).data)
    both = zip(found.train.texts, found.train.names, strict=True)
    usable = [i for i, (text, names) in enumerate(both) if text and names]
    chosen = found.train.take(random.Random(seed).sample(usable, count + JUDGED))
    hardware, labels = look_at_hardware(), found.label_set
    if side != FULL:
        import peft  # noqa: F401  # its own size is none of the network's
    before = peak_memory_mib("cpu") or 0
    model = Model() if side == FULL else build({"model": {"adapter": side}}).model
    with seeded(seed), quiet_transformers(), tempfile.TemporaryDirectory() as folder:
        network, tokenizer = load_base(find_base(str(base)), labels, *attention_on(hardware))
        encoded = encode(chosen, tokenizer, labels, CUT)
        rows, judged = encoded.select(range(count)), encoded.select(range(count, count + JUDGED))
        recipe = choose(Train(epochs=1), hardware, count, network.num_parameters(), CUT, model=model)
        with adapted(network, recipe, lambda line: None):
            clock = Clock()
            train(network, rows, judged, pad_id(tokenizer), recipe, folder, lambda line: None, None, [clock.callback()])
        memory = (peak_memory_mib("cpu") or 0) - before
        columns = input_columns(judged)
        answers = logits(TorchEngine(network.eval()), columns, pad_id(tokenizer))
        network.save_pretrained(folder)
        again = type(network).from_pretrained(folder).eval()
        reloaded = logits(TorchEngine(again), columns, pad_id(tokenizer))
    same = float(np.abs(answers - reloaded).max())
    return {"rate": count / clock.seconds, "memory": memory, "difference": same}


class Clock:
    """The time from the first step of training to the last."""

    def callback(self) -> Any:
        from transformers import TrainerCallback

        clock = self

        class Told(TrainerCallback):
            def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
                clock.start = time.perf_counter()

            def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
                clock.seconds = time.perf_counter() - clock.start

        return Told()


def spread(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def run(side: str, base: Path, args: Any, seed: int) -> dict[str, float]:
    """One side's measurement, in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--base", str(base), "--data", str(args.data)]
    command += ["--rows", str(args.rows), "--seed", str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{side} ended before it answered; its reason stands above.")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--base", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    source = args.data / SET
    if not source.is_file():
        sys.exit(f"No file {source}. Name the folder that holds the sets with --data.")
    if args.side:
        print(json.dumps(measure(args.side, args.base, source, args.rows, args.seed)))
        return
    sides = (FULL, *args.kinds)
    results: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as name:
        base = Path(name) / "base"
        make_base(base)
        for number in range(args.rounds):
            for side in random.Random(number).sample(sides, len(sides)):
                results[side].append(run(side, base, args, number))
    print(f"\n{args.rows} rows of AG News an epoch, {args.rounds} rounds, BERT-base with random weights\n")
    print(
        "| side | rows/s | times full fine-tuning's | memory, MiB | share of full fine-tuning's | saved and loaded, logits differ by |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for side in sides:
        columns = []
        for key, digits in (("rate", 2), ("memory", 0)):
            own, full = ([one[key] for one in results[name]] for name in (side, FULL))
            columns += [spread(own, digits), spread([a / b for a, b in zip(own, full, strict=True)], 2)]
        print(f"| {side} | {' | '.join(columns)} | {max(one['difference'] for one in results[side]):.1g} |")
    worst = max(one["difference"] for found in results.values() for one in found)
    if worst > 1e-4:
        sys.exit(f"A saved folder answers otherwise than the network that was saved, by {worst:g}.")


if __name__ == "__main__":
    main()
