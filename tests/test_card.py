"""The model card: true to the record and the evaluation, for each task, and without paths of this machine."""

import json

import pytest
import yaml

from classifine.report.card import card, card_in_training, others_load_by
from classifine.report.limits import code, limits


@pytest.fixture(scope="module")
def record(trained):
    return json.loads((trained / "classifine.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def evaluation(trained):
    return json.loads((trained / "evaluation.json").read_text("utf-8"))


def metadata(text):
    return yaml.safe_load(text.split("---")[1])


def test_the_folder_has_the_card_that_its_record_gives(trained, record, evaluation):
    assert (trained / "README.md").read_text("utf-8") == card(record, evaluation)


def test_only_a_name_on_the_hub_is_a_base_for_others(record, evaluation):
    assert (
        metadata(card({**record, "base": "owner/base", "base_origin": "the Hub"}, evaluation))["base_model"]
        == "owner/base"
    )
    text = card(record, evaluation)
    assert record["base_origin"] == "a local folder"
    assert "base_model" not in metadata(text)
    assert record["base"] not in text


def test_only_a_set_on_the_hub_is_named_as_one(record, evaluation):
    config = {**record["config"], "data": {**record["config"]["data"], "source": "owner/set"}}
    assert metadata(card({**record, "config": config, "data_on_hub": True}, evaluation))["datasets"] == ["owner/set"]
    assert "datasets" not in metadata(card(record, evaluation))


def test_the_evaluation_is_told_with_its_baselines(record, evaluation):
    text = card(record, evaluation)
    assert f"| accuracy | {evaluation['metrics']['accuracy']['value']:.4f} |" in text
    assert evaluation["verdict"] in text
    assert all(baseline["name"] in text for baseline in evaluation["baselines"])


@pytest.mark.parametrize(
    ("judged", "sentence", "split"),
    [
        ({"split": "test"}, "test rows that had no part in training or in any choice", "test"),
        ({"split": "validation"}, "validation rows that had no part in training", "validation"),
        ({"split": None}, "held-out rows, cut from the training data beforehand, that had no part", "held-out"),
        ({"split": "test", "trained_on": True}, "were trained on, so the numbers flatter", "test"),
    ],
)
def test_the_card_says_which_rows_it_was_judged_on(record, evaluation, judged, sentence, split):
    text = card({**record, "judged": judged}, evaluation)
    assert sentence in text
    assert metadata(text)["model-index"][0]["results"][0]["dataset"]["split"] == split
    assert ("no part in training" in text) == ("flatter" not in sentence)


def test_a_subset_on_the_hub_is_named_apart(record, evaluation):
    config = {**record["config"], "data": {**record["config"]["data"], "source": "nyu-mll/glue:rte"}}
    text = card({**record, "config": config, "data_on_hub": True, "judged": {"split": "validation"}}, evaluation)
    data = metadata(text)
    assert data["datasets"] == ["nyu-mll/glue"]
    dataset = data["model-index"][0]["results"][0]["dataset"]
    assert (dataset["type"], dataset["config"], dataset["split"]) == ("nyu-mll/glue", "rte", "validation")
    assert "(/datasets/nyu-mll/glue)" in text


def test_without_an_evaluation_the_card_says_so(record):
    text = card(record, {})
    assert "No evaluation was saved with this classifier" in text
    assert "model-index" not in metadata(text)


@pytest.mark.parametrize("task", ["multi", "score"])
def test_cards_of_the_other_tasks(record, task):
    names = ["a|b", "c"] if task == "multi" else ["score"]
    record = {**record, "task": task, "labels": names, "decision": {"temperature": 1.0, "thresholds": [0.3, 0.6]}}
    metrics = {"macro_f1": 0.5, "micro_f1": 0.5, "weighted_f1": 0.5, "sample_f1": 0.5, "subset_accuracy": 0.5}
    metrics |= {"ranking_precision": 0.5, "pearson": 0.5, "spearman": 0.5, "mse": 0.5, "mae": 0.5}
    table = [
        {"label": name, "precision": 1.0, "recall": 0.5, "f1": 0.6, "support": 3, "predicted": 2} for name in names
    ]
    evaluation = {"rows": 5, "metrics": metrics, "classes": table, "baselines": [], "verdict": "Fine."}
    text = card(record, evaluation, "maria/it")
    data = metadata(text)
    metric = "ranking_precision" if task == "multi" else "mae"
    assert metric in {found["name"] for found in data["model-index"][0]["results"][0]["metrics"]}
    assert (r"| `a\|b` | 0.300 |" in text) == (task == "multi")


@pytest.fixture
def judged():
    def one(label, f1, support, predicted=9):
        return {"label": label, "precision": f1, "recall": f1, "f1": f1, "support": support, "predicted": predicted}

    classes = [one("good", 0.9, 100), one("poor", 0.5, 100), one("rare", 0.9, 5), one("lost", 0.0, 40, predicted=0)]
    lengths = [("up to 50 characters", 0.95), ("up to 90 characters", 0.95), ("more than 90 characters", 0.6)]
    parts = [
        {"kind": "length", "name": name, "rows": 400, "metric": "accuracy", "value": value, "error": 0.02}
        for name, value in lengths
    ]
    return {"classes": classes, "slices": parts}


def test_limits_name_what_is_weak(record, judged):
    weak, never, few, length, cut, language = limits({**record, "train_rows_cut": 7, "language": "en"}, judged)
    assert "`lost` (F1 0.00), `poor` (F1 0.50); the median is 0.70" in weak
    assert "`lost` (40 rows)" in never
    assert "good" not in weak + never + few
    assert "`rare` (5)" in few
    assert length == "Texts of more than 90 characters: accuracy 0.600 (400 rows), 0.950 on the others."
    assert "7 fill that length" in cut
    assert "`en`; texts in other languages were not tried" in language


def test_labels_with_backticks_stay_whole(record, judged):
    names = ("a`b", "``", "plain")
    classes = [{**judged["classes"][2], "label": name} for name in names]
    text = " ".join(limits(record, {"classes": classes}))
    assert "``a`b`` (5), ``` `` ``` (5), `plain` (5)" in text


def test_where_answers_were_not_counted_no_label_is_called_never_answered(record, judged):
    classes = [{**one, "predicted": None} for one in judged["classes"]]
    assert not [line for line in limits(record, {"classes": classes}) if line.startswith("Never")]


def test_limits_do_not_name_what_chance_explains(record, judged):
    classes = judged["classes"][:1]
    parts = [{**part, "value": 0.9 - 0.02 * i} for i, part in enumerate(judged["slices"])]
    assert len(list(limits(record, {"classes": classes, "slices": parts}))) == 2
    errors = [{**part, "metric": "mae", "value": 1 - part["value"]} for part in judged["slices"]]
    (found,) = (line for line in limits(record, {"classes": classes, "slices": errors}) if "mae" in line)
    assert found.startswith("Texts of more than 90 characters: mae 0.400")


def test_the_card_has_the_limits_and_what_it_is_for(trained, record, evaluation):
    text = (trained / "README.md").read_text("utf-8")
    assert all(f"- {line}" in text for line in limits(record, evaluation))
    assert "## Intended use" in text and "fits none of them" in text


@pytest.mark.parametrize("method", ["finetune", "lp-ft"])
def test_what_others_load_a_network_with_and_what_it_reads_there(record, evaluation, method):
    recipe = {**record["recipe"], "method": method, "long": "windows", "stride": 0.5}
    own = {**record, "recipe": recipe, "long": "windows", "soup": {"seeds": [1, 2]}}
    own |= {"calibration": {**record["calibration"], "folded": False}}
    text = card(own, {**evaluation, "plain": {"accuracy": 0.25}})
    last = text.partition("## Use")[2]
    ours, library = ("The plain pipeline", "transformers")
    if method == "lp-ft":
        ours, library = ("Sentence-transformers", "sentence-transformers")
    assert f"{ours} reads the first {record['max_length']} tokens of a text only (the first window)" in last
    assert ("The plain pipeline" in last) == (method == "finetune")
    assert f"which {others_load_by(own)} does not apply" in text
    assert f"each at its {'best' if method == 'finetune' else 'last'} epoch" in text
    assert metadata(text)["library_name"] == library
    assert metadata(card_in_training(own, "maria/it", 2, None))["library_name"] == library


def test_a_label_with_a_line_break_stays_in_its_row():
    assert code("late\ndelivery") == "`late delivery`"
