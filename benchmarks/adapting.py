"""Does a base that was adapted to the texts make a better classifier? Beside the base as it came, on rows cut from train.

    python benchmarks/adapting.py [--data DIR] [--sets smsa twitter] [--ways ...] [--seeds 1 2] [--runs DIR]

A quarter of the train rows is set aside and judged once, as in levers.py; official dev and test rows have no part in it.
`adapted` guesses masked tokens of the other rows' texts first (`classifine adapt`), `words` gives the words of these texts
that the tokenizer splits a token of their own, which begins as the mean of its pieces, `words, adapted` both. What a run
reached is kept in results/adapting.jsonl and not measured again. Prints a table in Markdown.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from levers import TEST_SHARE, splits_of
from results import Results, commits, in_own_process, spread
from tokenizers import Tokenizer

from classifine import run
from classifine.config import DEFAULT_BASE, Config, build
from classifine.data.texts import Texts
from classifine.model.base import Base, find_base
from classifine.model.masked import Masked, load_masked, save_masked
from classifine.train import adapt
from classifine.train.fit import fit

WAYS = ("as it came", "adapted", "words", "words, adapted")
MOST_WORDS, LEAST_OFTEN = 10_000, 5
HELD_OUT = 500  # texts that the epochs of adapting are judged by


def split_words(tokenizer: Any, texts: Iterable[str]) -> dict[str, list[int]]:
    """Words that the tokenizer splits, those first that would spare most tokens, with the ids of their pieces."""
    backend, counts = tokenizer.backend_tokenizer, Counter[str]()
    for text in texts:
        normal = backend.normalizer.normalize_str(text) if backend.normalizer else text
        counts.update(word for word, _ in backend.pre_tokenizer.pre_tokenize_str(normal))
    pieces = {word: tokenizer.encode(word, add_special_tokens=False) for word, n in counts.items() if n >= LEAST_OFTEN}
    found = [word for word, ids in pieces.items() if len(ids) > 1]
    found.sort(key=lambda word: -counts[word] * (len(pieces[word]) - 1))
    return {word: pieces[word] for word in found[:MOST_WORDS]}


def with_words(masked: Masked, texts: Iterable[str]) -> Masked:
    """The network and its WordPiece tokenizer with tokens for the words that it splits."""
    network, tokenizer = masked.network, masked.tokenizer
    words = split_words(tokenizer, texts)
    state, first = json.loads(tokenizer.backend_tokenizer.to_str()), len(tokenizer)
    state["model"]["vocab"] |= {word: first + i for i, word in enumerate(words)}
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(state))
    network.resize_token_embeddings(first + len(words), mean_resizing=False)
    table = network.get_input_embeddings().weight
    with torch.no_grad():
        for i, ids in enumerate(words.values()):
            table[first + i] = table[ids].mean(dim=0)
    print(f"{len(words)} words, such as {', '.join(list(words)[:8])}", file=sys.stderr)
    return replace(masked, tokenizer=tokenizer)


def adapted(way: str, texts: Texts, base: Base, config: Config, place: Path) -> str:
    """The base that a way makes of the default one."""
    if way == "as it came":
        return base.name
    if way == "words":
        save_masked(place, with_words(load_masked(base), texts.train), base, record_of(base))
        return str(place)
    if way == "words, adapted":
        adapt.load_masked = lambda *given: with_words(load_masked(*given), texts.train)
    found = adapt.fit_masked(texts, base, config, 0.15, say)
    save_masked(place, found.masked, base, record_of(base))
    return str(place)


def record_of(base: Base) -> dict[str, Any]:
    return {"base": base.name, "base_origin": base.origin, "adapted_from": base.adapted_from}


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def measure(name: str, way: str, seed: int, data: Path) -> dict[str, Any]:
    given = {"data": {"source": str(data), "test_share": TEST_SHARE}, "train": {"seed": seed}}
    config = build({**given, "model": {"base": DEFAULT_BASE}})
    prepared = run.prepare(config, lambda line: None, splits_of(name, data, seed))
    three = prepared.three
    texts = Texts(three.train.texts[HELD_OUT:], three.train.texts[:HELD_OUT], ())
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        named = adapted(way, texts, prepared.base, config, Path(folder))
        middle = time.monotonic()
        own = build({**given, "model": {"base": named}})
        classifier = fit(
            three.train, three.validation, prepared.columns, prepared.labels, find_base(named), own, say
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
