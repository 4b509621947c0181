"""Does a base that was adapted to the texts make a better classifier? Beside the base as it came, on rows cut from train.

    python benchmarks/adapting.py [--data DIR] [--sets smsa twitter] [--ways ...] [--seeds 1 2] [--runs DIR]

A quarter of the train rows is set aside and judged once; official dev and test rows have no part in it.
`adapted` guesses masked tokens of the other rows' texts first (`classifine adapt`), `words` gives the words of these texts
that the tokenizer splits a token of their own (`--new-words`), `words, adapted` both. What a run
reached is kept in results/adapting.jsonl and not measured again. Prints a table in Markdown.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from levers import splits_of
from results import Results, commits, in_own_process, spread

from classifine import run
from classifine.config import DEFAULT_BASE, Config, build
from classifine.data.texts import Texts
from classifine.model.base import Base, find_base
from classifine.model.masked import save_adapted
from classifine.model.vocabulary import MOST
from classifine.train.adapt import fit_texts
from classifine.train.fit import fit

WAYS = ("as it came", "adapted", "words", "words, adapted")
TEST_SHARE = 0.25
HELD_OUT = 500  # texts that the epochs of adapting are judged by


def settings(data: Path, seed: int, base: str, words: int) -> Config:
    given = {"data": {"source": str(data), "test_share": TEST_SHARE}, "train": {"seed": seed}}
    return build({**given, "model": {"base": base, "new_words": words}})


def adapted(texts: Texts, config: Config, place: Path) -> str:
    """The folder of the default base, adapted to texts."""
    base = find_base(DEFAULT_BASE)
    found = fit_texts(texts, base, config, 0.15, say)
    save_adapted(place, found.network, found.tokenizer, base, record_of(base))
    return str(place)


def record_of(base: Base) -> dict[str, Any]:
    return {"base": base.name, "base_origin": base.origin, "adapted_from": base.adapted_from}


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def measure(name: str, way: str, seed: int, data: Path) -> dict[str, Any]:
    words = MOST if "words" in way else 0
    config = settings(data, seed, DEFAULT_BASE, words)
    prepared = run.prepare(config, lambda line: None, splits_of(name, data, seed))
    three = prepared.three
    texts = Texts(three.train.texts[HELD_OUT:], three.train.texts[:HELD_OUT], ())
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        base = adapted(texts, config, Path(folder)) if "adapted" in way else DEFAULT_BASE
        middle = time.monotonic()
        own = settings(data, seed, base, words)
        classifier = fit(
            three.train, three.validation, prepared.columns, prepared.labels, find_base(base), own, say
        ).classifier
        seconds = time.monotonic() - middle
        reached = run.metrics_on(classifier, three.test)
    return {
        "accuracy": reached["accuracy"], "macro_f1": reached["macro_f1"], "rows": len(three.train),
        "test_rows": len(three.test), "seconds": seconds, "adapting_seconds": middle - start,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", default=["smsa", "twitter"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/adapting"))
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one["set"], args.one["way"], args.one["seed"], args.data)))
        return
    kept, every = Results("adapting"), []
    print("| set | base | seeds | accuracy | macro-F1 | seconds of adapting | of training |")
    print("| --- " * 7 + "|")
    for name in args.sets:
        for way in args.ways:
            found = []
            for seed in args.seeds:
                cell = {"set": name, "way": way, "seed": seed}
                flags = ["--data", str(args.data)]
                found.append(
                    kept.measured(
                        lambda cell=cell, flags=flags: in_own_process(__file__, cell, flags, args.runs), **cell
                    )
                )
            columns = [spread([one[key] for one in found]) for key in ("accuracy", "macro_f1")]
            columns += [f"{statistics.mean(one[key] for one in found):.0f}" for key in ("adapting_seconds", "seconds")]
            print(f"| {name} | {way} | {len(found)} | {' | '.join(columns)} |", flush=True)
            every += found
    print(f"\n{commits(every)}")


if __name__ == "__main__":
    main()
