"""Whether intervals, probabilities, sets, comparisons and the flag for unlike texts hold what they promise, on real rows.

    python benchmarks/trust.py [--data DIR] [--sets ag_news twitter go_emotions] [--seeds 42 43] [--runs DIR]

Trains classifiers with the defaults (kept under --runs, as are their logits) and prints one table for each promise:

- the expected calibration error of test rows with and without the temperature that validation rows gave;
- how many of 2,000 resamples of test rows, and of 500 of only 1,000 rows, have a 95 % interval that holds the value of
  all test rows;
- how often the sets of labels, by validation rows, hold the truth of test rows;
- how often `compare` finds a difference between two equal classifiers, and between two with a true gap of two points:
  resamples of test rows on which the answers of two seeds are exchanged at random, and for the gap are then made wrong;
- how well test rows of AG News are told from texts of other kinds, by energy and by Mahalanobis distance (Lee et al.
  2018, on what enters the last layer, means and covariance by 4,000 training rows).
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import accuracy
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from classifine.config import Config
from classifine.data.check import check_splits
from classifine.data.encode import pad_id, tokenise
from classifine.data.read import Split, read_splits
from classifine.data.seen import fingerprint
from classifine.data.split import prepared
from classifine.doubt import likeness
from classifine.infer.forward import logits
from classifine.infer.predict import text_logits
from classifine.infer.torch_engine import TorchEngine
from classifine.model.folder import Saved, load
from classifine.report.compare import compare
from classifine.report.intervals import intervals, summed_up

SETS = ("ag_news", "twitter", "go_emotions")
OTHERS = {
    "SIB-200, German": ("sib200_deu_Latn", "text"),
    "Twitter financial topics": ("twitter_financial_news_topic/validation.jsonl", "text"),
}
RESAMPLES = 2000  # of test rows, as many as there are
SMALL, FEW = 500, 1000  # and so many of fewer rows
PAIRS, PAIR_ROWS, GAP = 100, 4000, 0.02


@dataclass(frozen=True)
class Judged:
    """What a classifier says of the validation and the test rows of its own data."""

    saved: Saved
    folder: Path
    test: NDArray[Any]
    test_truth: NDArray[Any]
    validation: NDArray[Any]
    validation_truth: NDArray[Any]


def judged(folder: Path) -> Judged:
    saved, kept = load(folder), folder.with_suffix(".npz")
    if not kept.exists():
        config = Config.model_validate(saved.record["config"])
        found = read_splits(config.data)
        three, _ = prepared(found, check_splits(found, config.data).faults, config.data, config.train.seed)
        if fingerprint(three.validation) != saved.record["data_fingerprint"]["validation"]:
            raise SystemExit(f"{folder} was trained on other rows. Remove it.")
        arrays = {}
        for part in (three.test, three.validation):
            arrays |= {
                part.name: text_logits(saved, part.texts),
                f"{part.name}_truth": saved.labels.targets(part.labels),
            }
        np.savez(kept, **arrays)
    return Judged(saved, folder, **np.load(kept))


def calibration(every: dict[str, list[Judged]]) -> Iterator[str]:
    yield "| set | test rows | seed | calibration error without | with | 95 % interval | nll without | with |"
    yield "| --- " * 8 + "|"
    for name, runs in every.items():
        for run in runs:
            report = json.loads((run.folder / "evaluation.json").read_text(encoding="utf-8"))
            raw, own = report["uncalibrated"], report["metrics"]
            ece, nll = own["ece"], own["nll"]
            yield (
                f"| {name} | {report['rows']} | {run.saved.record['seed']} | {raw['ece']:.4f} | {ece['value']:.4f} | "
                f"{ece['low']:.4f} to {ece['high']:.4f} | {raw['nll']:.4f} | {nll['value']:.4f} |"
            )


def coverage(every: dict[str, list[Judged]]) -> Iterator[str]:
    yield f"| set | metric | all test rows | held by the intervals of {RESAMPLES} resamples | of {SMALL} of {FEW} rows |"
    yield "| --- " * 5 + "|"
    for name, runs in every.items():
        run = runs[0]
        decision, draw = run.saved.decision, np.random.default_rng(0)
        scores, truth = decision.scores(run.test), run.test_truth
        whole = {
            key: float(value[0])
            for key, value in summed_up(truth, scores, decision).of(np.ones((1, len(truth)))).items()
        }
        held = [dict.fromkeys(whole, 0) for _ in range(2)]
        times = ((RESAMPLES, len(truth)), (SMALL, FEW))
        for found, (count, size) in zip(held, times, strict=True):
            for i in range(count):
                rows = draw.integers(0, len(truth), size)
                for key, (low, high) in intervals(truth[rows], scores[rows], decision, seed=i).items():
                    found[key] += low <= whole[key] <= high
        shown = (
            "accuracy",
            "macro_f1",
            "micro_f1",
            "weighted_f1",
            "mcc",
            "subset_accuracy",
            "ranking_precision",
            "nll",
            "brier",
        )
        for key in shown:
            if key in whole and not (key == "micro_f1" and "accuracy" in whole):
                shares = " | ".join(f"{found[key] / count:.1%}" for found, (count, _) in zip(held, times, strict=True))
                yield f"| {name} | {key} | {whole[key]:.4f} | {shares} |"


def conformal(every: dict[str, list[Judged]]) -> Iterator[str]:
    yield "| set | seed | stated | truth in the set | standard error | labels in a set |"
    yield "| --- " * 6 + "|"
    for name, runs in every.items():
        for run in runs:
            decision = run.saved.decision
            doubt, scores = run.saved.doubt, decision.scores(run.test)
            for stated in (0.8, 0.9, 0.95):
                sets = doubt.sets(scores, stated)
                rows = np.arange(len(scores))
                true = run.test_truth > 0.5 if decision.task == "multi" else None
                hit = (sets | ~true).all(axis=1) if true is not None else sets[rows, run.test_truth]
                # The rows that set the limit are a sample, too.
                error = np.sqrt(stated * (1 - stated) * (1 / len(scores) + 1 / len(run.validation)))
                yield (
                    f"| {name} | {run.saved.record['seed']} | {stated:.0%} | {hit.mean():.1%} | {error:.1%} | "
                    f"{sets.sum(axis=1).mean():.2f} |"
                )


def comparisons(every: dict[str, list[Judged]]) -> Iterator[str]:
    yield f'| set | "no difference" among {PAIRS} equal pairs | better one found at a true gap of {100 * GAP:g} points | rows |'
    yield "| --- " * 4 + "|"
    for name, runs in every.items():
        if len(runs) < 2 or runs[0].saved.labels.task != "single":
            continue
        one, other = runs[:2]
        if not np.array_equal(one.test_truth, other.test_truth):
            raise SystemExit(
                f"The seeds of {name} were judged on different test rows. Remove {one.folder} and {other.folder}."
            )
        decisions, truth = (one.saved.decision, other.saved.decision), one.test_truth
        scores = np.stack([one.saved.decision.scores(one.test), other.saved.decision.scores(other.test)])
        draw, same, found = np.random.default_rng(0), 0, 0
        for i in range(PAIRS):
            rows = draw.integers(0, len(truth), PAIR_ROWS)
            swapped = draw.integers(0, 2, PAIR_ROWS)
            first, second = scores[swapped, rows], scores[1 - swapped, rows]
            same += not compare(truth[rows], first, second, decisions, seed=i).differences[0].better
            right = second.argmax(axis=1) == truth[rows]
            spoilt = right & (draw.random(PAIR_ROWS) < GAP / right.mean())
            worse = second.copy()
            # The best and the next best label change places.
            best = np.argsort(-second[spoilt], axis=1, kind="stable")[:, :2]
            places = np.flatnonzero(spoilt)
            worse[places, best[:, 0]], worse[places, best[:, 1]] = (
                second[places, best[:, 1]],
                second[places, best[:, 0]],
            )
            found += compare(truth[rows], first, worse, decisions, seed=i).differences[0].better == 1
        yield f"| {name} | {same} | {found} | {PAIR_ROWS} |"


class FeatureEngine(TorchEngine):
    """What enters the last layer, in place of what it makes of it."""

    @property
    def width(self) -> int:
        return int(self.network.classifier.in_features)

    def __call__(self, batch: dict[str, NDArray[np.int64]]) -> NDArray[np.float32]:
        taken: list[Any] = []
        handle = self.network.classifier.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
        try:
            super().__call__(batch)
        finally:
            handle.remove()
        return np.asarray(taken[0].float().cpu().numpy())


def features(saved: Saved, texts: list[str]) -> NDArray[np.float32]:
    return logits(FeatureEngine(saved.network), tokenise(texts, saved.reader, saved.max_length), pad_id(saved.reader))


def mahalanobis(known: NDArray[Any], classes: NDArray[Any]) -> Any:
    """A function from features (rows, width) to how like the `known` ones they are: minus the least squared distance."""
    means = np.stack([known[classes == one].mean(axis=0) for one in np.unique(classes)])
    spread = np.linalg.pinv(np.cov((known - means[np.searchsorted(np.unique(classes), classes)]).T))
    return lambda given: (
        -np.min([np.einsum("ij,jk,ik->i", given - mean, spread, given - mean) for mean in means], axis=0)
    )


def unlike(run: Judged, data: Path) -> Iterator[str]:
    saved = run.saved
    config = Config.model_validate(saved.record["config"])
    found = read_splits(config.data)
    three, _ = prepared(found, check_splits(found, config.data).faults, config.data, config.train.seed)
    draw = np.random.default_rng(0)

    def drawn(part: Split, count: int) -> Split:
        return part.take(sorted(draw.choice(len(part), min(count, len(part)), replace=False).tolist()))

    known, own = drawn(three.train, 4000), drawn(three.test, 2000)
    near = mahalanobis(features(saved, known.texts), np.asarray(saved.labels.targets(known.labels)))
    yield "| texts | rows | AUROC by energy | AUROC by Mahalanobis distance |"
    yield "| --- " * 4 + "|"
    for name, (file, text) in OTHERS.items():
        other = read_splits(
            config.data.model_copy(update={"source": str(data / file), "test": None, "text": (text,), "label": ()})
        )
        strange = drawn(other.train, 2000)
        truth = np.repeat([1, 0], [len(own), len(strange)])
        texts = [*own.texts, *strange.texts]
        areas = [
            roc_auc_score(truth, likeness(text_logits(saved, texts), saved.decision)),
            roc_auc_score(truth, near(features(saved, texts))),
        ]
        yield f"| {name} | {len(strange)} | {areas[0]:.4f} | {areas[1]:.4f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43])
    parser.add_argument("--runs", type=Path, default=Path("runs/accuracy"))
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    every: dict[str, list[Judged]] = {}
    for seed in args.seeds:
        for name in args.sets:
            files = (args.data / file for file in accuracy.SETS[name])
            every.setdefault(name, []).append(judged(accuracy.train(*files, name, seed, args.runs)))
    tables = [calibration(every), coverage(every), conformal(every), comparisons(every)]
    if "ag_news" in every:
        tables.append(unlike(every["ag_news"][0], args.data))
    for table in tables:
        for line in table:
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
