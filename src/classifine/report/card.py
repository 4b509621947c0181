"""The model card: only facts of the run, of the weights that were kept, in the form that the Hub reads.

It puts into words what the record and the evaluation say, and knows nothing about networks.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from classifine.labels import Task
from classifine.metrics import HEADLINE
from classifine.model.base import LOCAL_FOLDER
from classifine.model.folder import read_record
from classifine.model.static import STATIC
from classifine.report.limits import code, limits
from classifine.report.text import averaged_in, calibrated_on, numbers, seed_lines, taught_by

CARD = "README.md"
# What the Hub calls our metrics, where it has a name for them.
HUB_METRICS = {
    "macro_f1": "f1", "micro_f1": "f1", "weighted_f1": "f1", "sample_f1": "f1", "macro_precision": "precision",
    "macro_recall": "recall", "mcc": "matthews_correlation", "pearson": "pearsonr", "spearman": "spearmanr",
}  # fmt: skip
BAR = r"\|"  # a bar inside a cell of a table
TAGS = ["text-classification", "classifine"]
_ASKED: dict[Task, str] = {
    "single": "chooses one of {count} labels for a text",
    "multi": "decides for each of {count} labels whether it holds for a text",
    "score": "gives a text a number",
}
# What was done to the base.
METHODS = {
    "finetune": "fine-tuned from {base}",
    "probe": "made of {base}, which is as it was, and a linear head,",
    "lp-ft": "made of {base} and a linear head, which were fine-tuned after the head was fitted alone",
    "contrastive": "made of {base}, adapted so that texts of one label are alike, and a linear head,",
}
_NO_EVALUATION = "No evaluation was saved with this classifier."


def card(
    record: Mapping[str, Any], evaluation: Mapping[str, Any], repository: str | None = None, licence: str | None = None
) -> str:
    """The card of a classifier from its record and (or an empty one) its evaluation.

    `repository` is where it will be published; without one the lines of use name a place to put the folder's path.
    """
    where = repository or "PATH"
    title = (repository or record.get("name") or "classifier").rpartition("/")[2]
    parts = [
        _metadata(record, evaluation, title, licence), f"# {title}", _what(record), _table_of_labels(record, evaluation),
        "## Intended use", _intended(record), "## Evaluation", *_judged(record, evaluation),
        "## Limits found", _found(record, evaluation), "## Data", *_data(record), "## Training", *_training(record),
        "## Use", _use(record, evaluation, where),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def write_card(folder: Path, evaluation: Mapping[str, Any]) -> None:
    """Put the card of a saved classifier beside its record; `evaluation` may be an empty one."""
    (folder / CARD).write_text(card(read_record(folder), evaluation), encoding="utf-8")


def card_in_training(record: Mapping[str, Any], repository: str, epoch: int, licence: str | None) -> str:
    """The card of weights that are published in the middle of their training."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        license=licence, library_name=_library(record), pipeline_tag="text-classification", tags=[*TAGS, "in-training"]
    )
    title = repository.rpartition("/")[2]
    return (
        f"---\n{data.to_yaml()}\n---\n\n# {title}\n\nIn training: the weights after epoch {epoch}, not evaluated yet.\n"
    )


def in_own_words(text: str, repository: str, licence: str | None) -> str:
    """A card that its author has written or changed, with the name of the repository and the licence filled in."""
    from huggingface_hub import ModelCard

    named = text.replace('"PATH"', f'"{repository}"')
    if licence is None:
        return named
    parsed: Any = ModelCard(named, ignore_metadata_errors=True)
    parsed.data.license = licence
    return str(parsed)


def last_part(path: str) -> str:
    """The last part of a path of this or another system: what others may read of it."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _metadata(record: Mapping[str, Any], evaluation: Mapping[str, Any], title: str, licence: str | None) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    name, subset = _data_name(record)
    judged = record.get("judged") or {}
    results = [
        EvalResult(
            task_type="text-classification", dataset_type=judged.get("file") or name,
            dataset_name=judged.get("file") or name, dataset_config=subset,
            dataset_split="test" if judged.get("file") else judged.get("split") or "held-out",
            metric_type=HUB_METRICS.get(metric, metric), metric_name=metric, metric_value=round(value, 4),
        )
        for metric, value in _headline(record, evaluation).items()
    ]  # fmt: skip
    data = ModelCardData(
        language=record.get("language"),
        license=licence,
        library_name=_library(record),
        pipeline_tag="text-classification",
        tags=TAGS,
        # Only the name of a repository is for others to read, never a path of this machine.
        base_model=None if own_base(record) else record["base"],
        datasets=[name] if record.get("data_on_hub") else None,
        metrics=list(dict.fromkeys(result.metric_type for result in results)) or None,
        model_name=title if results else None,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---"


def _headline(record: Mapping[str, Any], evaluation: Mapping[str, Any]) -> dict[str, float]:
    return {name: metric_value(evaluation["metrics"][name]) for name in HEADLINE[record["task"]]} if evaluation else {}


def metric_value(metric: float | Mapping[str, float]) -> float:
    """A metric as evaluation.json has it, with an interval or, of an older version, without."""
    return metric["value"] if isinstance(metric, Mapping) else metric


def _interval(metric: float | Mapping[str, float]) -> str:
    return f"{metric['low']:.4f} to {metric['high']:.4f}" if isinstance(metric, Mapping) else ""


def is_sentence_transformer(record: Mapping[str, Any]) -> bool:
    """Whether sentence-transformers loads the network, and plain transformers does not: it sums up texts, or words."""
    return bool(record["recipe"].get("method", "finetune") != "finetune" or record["base"] == STATIC)


def _library(record: Mapping[str, Any]) -> str:
    return "sentence-transformers" if is_sentence_transformer(record) else "transformers"


def others_load_by(record: Mapping[str, Any]) -> str:
    """With what people load the network who do not have classifine."""
    return "sentence-transformers" if is_sentence_transformer(record) else "plain transformers"


def own_base(record: Mapping[str, Any]) -> bool:
    """Whether the base was a folder of the author's, whose path is nobody else's to read."""
    return bool(record["base_origin"] == LOCAL_FOLDER)


def _data_name(record: Mapping[str, Any]) -> tuple[str, str | None]:
    """(what the training rows are called, their subset on the Hub)."""
    source = record["config"]["data"].get("source")
    if record.get("data_on_hub"):
        name, _, subset = str(source).partition(":")
        return name, subset or None
    return (last_part(source) if source else "the author's own rows"), None


def _what(record: Mapping[str, Any]) -> str:
    asked = asked_of(record["task"], len(record["labels"]), record["columns"]["pair"] is not None)
    if taught := record.get("distilled"):
        return f"A network that {asked}, {lessons(record['base'], taught)}"
    base = "an encoder of the author's" if own_base(record) else f"[{record['base']}](/{record['base']})"
    language = f" Its training texts are in `{record['language']}`." if record.get("language") else ""
    how = METHODS[record["recipe"].get("method", "finetune")]
    return f"A network that {asked}, {how.format(base=base)} with classifine.{language}"


def lessons(base: str, taught: Mapping[str, Any]) -> str:
    """Whose answers a student on this base learned, and how near it came; in Markdown."""
    many, agreed, speed = len(taught["teachers"]) > 1, taught["agreement"], taught["speed"]
    names = ", ".join(map(code, taught["teachers"]))
    form = "a table of words' vectors without an encoder" if base == STATIC else "a smaller encoder"
    met = (
        "Its numbers correlate with the teacher's by"
        if agreed["metric"] == "pearson"
        else "It gives the teacher's answer in a share of"
    )
    between = f"{agreed['low']:.4f} to {agreed['high']:.4f}; " if "low" in agreed else ""
    return (
        f"{form}, taught with classifine by {'the mean of the classifiers' if many else 'the classifier'} {names} on "
        f"{taught['rows']['train']} texts without labels (distillation, temperature {taught['temperature']:g}). "
        f"{met} {agreed['value']:.4f} ({between}{agreed['rows']} {agreed['on']}), and is "
        f"{speed['times']:g} times as fast on the machine that made it. Its probabilities and thresholds follow the "
        "teacher's, not true labels."
    )


def asked_of(task: Task, count: int, pair: bool) -> str:
    """What a classifier with so many labels does."""
    asked = _ASKED[task].format(count=count)
    return asked.replace("a text", "a pair of texts") if pair else asked


def _intended(record: Mapping[str, Any]) -> str:
    what = "pairs of texts" if record["columns"]["pair"] is not None else "texts"
    name, _ = _data_name(record)
    answers = {
        "single": "Every text gets one of the labels above, also one that fits none of them.",
        "multi": "A text may get several of the labels above, or none.",
        "score": "Numbers far from those of the training rows cannot be expected.",
    }[record["task"]]
    return (
        f"For {what} like those of {name}, on which it was trained and judged; how it fares on others is not known. "
        f"{answers} Look at its errors before decisions about people are left to it."
    )


def _found(record: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    return "\n".join(f"- {line}" for line in limits(record, evaluation)) if evaluation else _NO_EVALUATION


def _table_of_labels(record: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    if record["task"] == "score":
        return ""
    thresholds = record["decision"].get("thresholds")
    head = [
        "label",
        *(["threshold"] if thresholds else []),
        *(["precision", "recall", "F1", "rows"] if evaluation else []),
    ]
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for i, name in enumerate(record["labels"]):
        cells = [code(name), *([f"{thresholds[i]:.3f}"] if thresholds else [])]
        if evaluation:
            found = evaluation["classes"][i]
            cells += [*(f"{found[key]:.3f}" for key in ("precision", "recall", "f1")), str(found["support"])]
        lines.append(f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |")
    return "\n".join(lines)


def _judged(record: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Iterator[str]:
    if not evaluation:
        yield _NO_EVALUATION
        return
    fair = judged_on(record.get("judged") or {}, evaluation["rows"])
    epoch = f"epoch {record['best_epoch']} of {record['epochs_run']}"
    end = "best" if record["recipe"].get("method", "finetune") == "finetune" else "last"
    which = f"averaged over seeds, each at its {end} epoch" if averaged_in(record) else epoch
    yield f"{fair}. The weights are those of this folder, {which}:"
    found = evaluation["metrics"]
    lines = [
        f"| {name} | {value:.4f} | {_interval(found[name])} |" for name, value in _headline(record, evaluation).items()
    ]
    yield "\n".join(["| metric | value | 95 % interval |", "| --- | --- | --- |", *lines])
    yield from (f"O{line[1:]}." for line in seed_lines(record, record["task"]))
    if evaluation.get("uncalibrated"):
        before, own = evaluation["uncalibrated"], record["calibration"]["temperature"]
        how = f"temperature {own:.2f}" if isinstance(own, float) else "a temperature for each label"
        where = (
            "in the weights" if record["calibration"]["folded"] else f"which {others_load_by(record)} does not apply"
        )
        words = {"ece": "expected calibration error", "brier": "Brier score", "nll": "negative log-likelihood"}
        told = ", ".join(
            f"{word} {metric_value(found[name]):.4f} (without it {before[name]:.4f})"
            for name, word in words.items() if name in found and before.get(name) is not None
        )  # fmt: skip
        worse = round(metric_value(found["nll"]), 4) > round(before["nll"], 4)
        harm = " By the last it made the scores of these rows worse." * worse
        rows = calibrated_on(record["calibration"].get("left_out"), record["recipe"])
        yield f"The scores are calibrated on {rows} ({how}, {where}). On these rows: {told}.{harm}"
    if evaluation["baselines"]:
        others = ({key: value for key, value in b.items() if key != "name"} for b in evaluation["baselines"])
        named = zip(evaluation["baselines"], others, strict=True)
        yield "Beside it, on the same rows:"
        yield "\n".join(f"- {baseline['name']}: {numbers(found)}" for baseline, found in named)
        yield str(evaluation["verdict"])


def judged_on(judged: Mapping[str, Any], rows: int) -> str:
    """On which rows a classifier was judged, as the record has it in `judged`, and whether that was fair."""
    kind = judged.get("split") or "held-out"
    if judged.get("trained_on"):
        return f"On {rows} {kind} rows. Rows with the same texts were trained on, so the numbers flatter"
    cut = "" if judged.get("split") else ", cut from the training data beforehand,"
    return f"On {rows} {kind} rows{cut} that had no part in training or in any choice"


def _data(record: Mapping[str, Any]) -> Iterator[str]:
    (name, _), on_hub = _data_name(record), record.get("data_on_hub")
    rows = ", ".join(f"{count} {part}" for part, count in record.get("rows", {}).items())
    yield f"{f'[{name}](/datasets/{name})' if on_hub else name}{f': {rows} rows' if rows else ''}."


def _training(record: Mapping[str, Any]) -> Iterator[str]:
    recipe = record["recipe"]
    shown = {
        **_steps(record, recipe),
        "precision": f"{recipe['precision']} on the {recipe['device']}",
        **_read(recipe),
        "seed": record["seed"],
        "time": f"{record['train_seconds']:.0f} s, {record['train_rows_per_second']:.0f} rows/s",
        "versions": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
    }
    yield "\n".join(
        ["| setting | value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in shown.items())]
    )
    if search := record.get("search"):
        yield f"Settings were searched in {search['trials']['all']} trials, judged on validation rows. {search['verdict']}"
    for alarm in record["alarms"]:
        yield f"During training: {alarm}"


def _steps(record: Mapping[str, Any], recipe: Mapping[str, Any]) -> dict[str, Any]:
    """How the weights were found."""
    method, probe, few = recipe.get("method", "finetune"), record.get("probe"), {}
    if probe:
        when = {"probe": f"by cross-validation in {probe['folds']} parts", "lp-ft": "before the rest"}
        head = f"logistic regression, C {probe['strength']:g}, {when.get(method, 'after the rest')}"
        few = {"method": method, "head": head}
        if times := probe.get("names"):
            few["names of the labels"] = f"learned from as texts of theirs, as much as {times} rows each"
        if recipe.get("all_rows"):
            few["in the end"] = "anew from all rows: what is in this folder learned from validation rows, too"
    if method == "probe":
        return few
    kept = "the last one kept" if few else f"the best: {record['best_epoch']} (by {recipe['metric']})"
    compared = record.get("pair_similarity")
    first = f"how alike two texts are, from {compared['pairs']} pairs and the base's own cosines" if compared else ""
    words, teachers = recipe.get("new_words"), ", ".join(map(str, taught_by(record)))
    return {
        **few,
        **(
            {"learned from": f"the mean answers of networks of seeds {teachers} to the training rows"}
            if teachers
            else {}
        ),
        **({"vocabulary": f"the base's and {words} words of the training texts"} if words else {}),
        **({"before the labels": first} if first else {}),
        "epochs": f"{record['epochs_run']} of {recipe['epochs']}, {kept}",
        "batch size": recipe["batch_size"],
        "optimizer": recipe["optimizer"] if recipe["rho"] is None else f"{recipe['optimizer']}, rho {recipe['rho']:g}",
        **_adapter(recipe),
        "peak learning rate": f"{recipe['learning_rate']:g}, {recipe['head_rate']:g} times that for the {'' if few else 'new '}head",
        "schedule": f"{recipe['schedule']}, {recipe['warmup_steps']} of {recipe['steps']} steps to warm up",
        "weight decay": recipe["weight_decay"],
    }


def _adapter(recipe: Mapping[str, Any]) -> dict[str, str]:
    """What was trained in the encoder's place; nothing where it was fine-tuned itself."""
    if not recipe.get("adapter"):
        return {}
    rank, alpha, dropout = (recipe[f"lora_{name}"] for name in ("rank", "alpha", "dropout"))
    return {
        "adapter": f"{recipe['adapter']}, rank {rank}, alpha {alpha:g}, dropout {dropout:g}, merged into the weights"
    }


def _read(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """How much of a text is read."""
    words = {
        "head-tail": "the beginning and the end",
        "windows": f"all, in windows each {recipe.get('stride') or 0:.0%} of one behind the last, their logits averaged",
    }
    way, limit = recipe.get("long", "truncate"), recipe["max_length"]
    return (
        {"tokens read at once": limit, "read of longer texts": words[way]}
        if way in words
        else {"tokens kept of a text": limit}
    )


def _plain(record: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """What is lost without classifine; nothing where it is nothing."""
    way, limit = record.get("long", "truncate"), record["max_length"]
    if way == "truncate":
        return ""
    first = " (the first window)" if way == "windows" else ""
    ours = "all of a longer text, in windows" if way == "windows" else "the beginning and the end of a longer one"
    found = evaluation.get("plain")
    difference = f" On the rows of the evaluation it so reaches {numbers(found)}." if found else ""
    reader = "Sentence-transformers" if is_sentence_transformer(record) else "The plain pipeline"
    return (
        f"{reader} reads the first {limit} tokens of a text only{first}; the numbers above are of "
        f"classifine, which reads {ours}.{difference}\n\n"
    )


def _use(record: Mapping[str, Any], evaluation: Mapping[str, Any], where: str) -> str:
    pair = record["columns"]["pair"] is not None
    text = '{"text": "a text", "text_pair": "another"}' if pair else '"a text"'
    own = '[("a text", "another")]' if pair else '["a text"]'
    # The pipeline names the best label only; with several labels each is to be held against its threshold.
    every = ", top_k=None" if record["task"] == "multi" else ""
    plain = f"""With plain transformers:

```python
from transformers import pipeline
classify = pipeline("text-classification", "{where}", truncation=True)
classify({text}{every})
```"""
    if is_sentence_transformer(record):
        scores = "a sigmoid of each is its score" if record["task"] == "multi" else "their softmax are the scores"
        plain = f"""With sentence-transformers (not with the pipeline of plain transformers, which has no such network):

```python
from sentence_transformers import SentenceTransformer
classify = SentenceTransformer("{where}")
classify.encode({own})  # logits, in the order of the labels in config.json; {scores}
```"""
    return f"""{plain}

{_plain(record, evaluation)}With classifine, {"and the thresholds of the table" if record["task"] == "multi" else "for many texts at once"}:

```python
from classifine import TextClassifier
classifier = TextClassifier.from_pretrained("{where}")
classifier.predict({own})
```"""
