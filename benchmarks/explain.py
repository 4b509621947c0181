"""Are explanations faithful? The deletion test on real rows of a trained classifier.

    python benchmarks/explain.py MODEL DATA [--rows 50] [--seed 42] [--methods gradients occlusion]

Of each of the drawn rows the predicted label is explained, and the words are deleted in the order of the attributions;
beside that, in an order drawn at random (the mean of five). Prints a table in Markdown: means over the rows with twice
their standard error, and in how many rows an order does better than chance. Comprehensiveness should be high,
sufficiency and the area below the deletion curve low (`classifine.report.faithful` says what they are).
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from classifine.config import build
from classifine.data.columns import Columns
from classifine.data.read import read_to_judge
from classifine.data.row import Text
from classifine.infer.explain import Explanation, Method, explain
from classifine.model.folder import Saved, load
from classifine.report.faithful import Faithfulness, by_attribution, by_chance, faithfulness

DRAWN = 5  # random orders of each row


def drawn(saved: Saved, data: str, rows: int, seed: int) -> list[Text]:
    columns = Columns.from_json(saved.record["columns"], saved.labels.task)
    texts = read_to_judge(build({"data": {"source": data}}).data, columns).train.texts
    given = [text for text in texts if text]
    return [given[i] for i in np.random.default_rng(seed).permutation(len(given))[:rows]]


def by_chances(saved: Saved, found: Explanation) -> Faithfulness:
    several = [faithfulness(saved, found, by_chance(found, seed)) for seed in range(DRAWN)]
    means = [statistics.mean(getattr(one, name) for one in several) for name in COLUMNS]
    return Faithfulness(*means, curve=())


COLUMNS = ("comprehensiveness", "sufficiency", "area")


def spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f} ± {2 * statistics.stdev(values) / len(values) ** 0.5:.3f}"


def line(name: str, found: list[Faithfulness], chance: list[Faithfulness], seconds: float) -> str:
    columns = [spread([getattr(one, column) for one in found]) for column in COLUMNS]
    wins = sum(one.area < other.area for one, other in zip(found, chance, strict=True))
    better = "" if found is chance else f"{wins} of {len(found)}"
    return f"| {name} | {' | '.join(columns)} | {better} | {f'{seconds / len(found):.2f}' if seconds else ''} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data")
    parser.add_argument("--rows", type=int, default=50)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--methods", nargs="+", default=["gradients", "occlusion"])
    args = parser.parse_args()
    saved = load(args.model)
    texts = drawn(saved, args.data, args.rows, args.seed)
    methods: dict[Method, list[Explanation]] = {}
    seconds = {}
    for method in args.methods:
        begin = time.perf_counter()
        methods[method] = [explain(saved, text, method=method)[0] for text in texts]
        seconds[method] = time.perf_counter() - begin
    explained = next(iter(methods.values()))
    chance = [by_chances(saved, one) for one in explained]
    words = statistics.mean(len(by_attribution(one)) for one in explained)
    gaps = [one.gap for found in methods.values() for one in found if one.gap is not None]
    told = f"; completeness gap {statistics.mean(gaps):.4f} logits, at most {max(gaps):.4f}" if gaps else ""
    print(f"{args.model.name}: {len(texts)} rows of {words:.0f} words on average{told}\n")
    print("| words deleted by | comprehensiveness | sufficiency | area | area below chance's | s a text |")
    print("| --- | --- | --- | --- | --- | --- |")
    for method, found in methods.items():
        print(line(method, [faithfulness(saved, one) for one in found], chance, seconds[method]))
    print(line("chance", chance, chance, 0))


if __name__ == "__main__":
    main()
