"""Several seeds that teach one more network: what it learns, when it stays, what is told."""

import json

import numpy as np
import pytest
from conftest import QUICK, fitted_on, settings

from classifine import TextClassifier, run
from classifine.config import Model, build
from classifine.decide import Decision
from classifine.errors import ConfigError
from classifine.infer.predict import text_logits
from classifine.model.folder import load
from classifine.train import fit, plan, several
from classifine.train.method import Labelled, choose_method
from classifine.train.wishes import check_keep


def record_of(found):
    return json.loads((found.folder / "classifine.json").read_text("utf-8"))


def test_seeds_teach_one_more_network_what_they_answer_on_average(tickets, base, tmp_path, monkeypatch):
    asked, answers, taught = several.Ensemble.ask, [], []
    trained = fit.train

    def noted(ensemble, tried, seed):
        asked(ensemble, tried, seed)
        found = several.logits(
            several.TorchEngine(tried.fitted.classifier.network), several.input_columns(tried.rows), 0
        )
        answers.append(found / tried.fitted.classifier.decision.temperature)

    def seen(network, rows, *rest, **more):
        taught.append(np.array(rows["labels"][:]))
        return trained(network, rows, *rest, **more)

    monkeypatch.setattr(several.Ensemble, "ask", noted)
    monkeypatch.setattr(fit, "train", seen)
    said = []
    config = settings(tickets, base, seeds=2, epochs=2, patience=2, keep="distilled", class_weights="balanced")
    found = run.train(config, tmp_path / "taught", False, said.append)
    assert [targets.ndim for targets in taught] == [1, 1, 2]
    wanted = Decision("single", several.TEMPERATURE).scores(np.mean(answers, axis=0))
    assert np.allclose(taught[2], wanted, atol=1e-3)
    record = record_of(found)
    told, first = record["ensemble"], QUICK["seed"]
    assert told["seeds"] == [one["seed"] for one in record["seeds"]] == [first, first + 1]
    assert record["seed"] == first + 2 if told["kept"] else record["seed"] in told["seeds"]
    assert any("teach one more network" in line for line in said)
    assert any(f"{told['together']['macro_f1']:.4f}" in line for line in said if line.startswith("on validation"))
    assert record["config"]["train"]["class_weights"] == "balanced"  # as it was asked for


@pytest.mark.parametrize("better", [True, False])
def test_the_one_that_was_taught_stays_where_it_is_no_worse(tickets, base, tmp_path, monkeypatch, better):
    ranks = iter([(float(better),), (0.5,)])  # its own, and that of the best seed
    monkeypatch.setattr(several, "rank", lambda metric, reached: next(ranks))
    found = fitted_on(tmp_path / "own", tickets, base, seeds=2, epochs=1, keep="distilled")
    record = record_of(found)
    assert record["ensemble"]["kept"] is better
    card = (found.folder / "README.md").read_text("utf-8")
    assert ("a network that learned what seeds" in card) is better
    assert ("the best of them on validation" in card) is not better
    if better:
        assert record["seed"] == QUICK["seed"] + 2
    else:
        best = next(one for one in record["seeds"] if one["seed"] == record["seed"])
        assert best["test"]["accuracy"] == found.evaluation.accuracy
    # Whatever stays is a classifier as any other.
    saved = load(found.folder)
    assert text_logits(saved, ["My card was charged twice"]).shape == (1, len(saved.labels))


def test_a_student_knows_what_its_teachers_do(tickets, base, tmp_path, monkeypatch):
    # From a head of its own, by the answers alone: what it learned is close to what they say of rows it never saw.
    ranks = iter([1, 0])  # whatever it reached, it stays
    monkeypatch.setattr(several, "rank", lambda metric, reached: next(ranks))
    found = fitted_on(tmp_path / "own", tickets, base, seeds=2, epochs=12, patience=12, keep="distilled")
    record = record_of(found)
    assert record["ensemble"]["kept"]
    assert record["ensemble"]["validation"]["accuracy"] >= record["ensemble"]["together"]["accuracy"] - 0.1
    assert found.evaluation.accuracy > found.evaluation.baselines[0].metrics["accuracy"]


@pytest.mark.parametrize("more", [{}, {"long": "windows", "max_length": 8}, {"adapter": "lora"}])
@pytest.mark.parametrize("task", ["single", "multi", "score", "pairs"])
def test_every_task_can_be_taught(base, task, more):
    if "adapter" in more:
        pytest.importorskip("peft", reason="adapters are an extra")
    texts = [f"{word} {i} came late and was broken" for i in range(30) for word in ("parcel", "refund")]
    labels = ["parcel", "refund"] * 30
    if task == "multi":
        labels = [["late", label] if i % 3 else [label] for i, label in enumerate(labels)]
    if task == "score":
        labels = [i % 7 / 2 for i in range(60)]
    if task == "pairs":
        texts = [(text, "it is broken") for text in texts]
    plain = {"base": str(base), "epochs": 2, "batch_size": 8, "method": "finetune", "precision": "float32"}
    classifier = TextClassifier(**plain, **more, seeds=2, keep="distilled").fit(texts, labels)
    told = classifier._fitted.record["ensemble"]
    assert told["seeds"] == [42, 43] and told["together"]["loss"] > 0
    assert len(classifier.predict(texts[:3])) == 3


def test_one_seed_cannot_teach():
    with pytest.raises(ConfigError, match="--keep is distilled, and there is one seed"):
        check_keep(build({"train": {"keep": "distilled"}}).train)


@pytest.mark.parametrize("method", ["auto", "probe", "lp-ft", "contrastive"])
def test_methods_for_few_labels_are_not_distilled(method):
    config = build({"train": {"keep": "distilled", "seeds": 2, "method": method}}).train
    with pytest.raises(ConfigError, match="--keep"):
        choose_method(config, Model(), Labelled(40, 5, "single", False, True))
    alike = config.model_copy(update={"method": "finetune"})
    assert choose_method(alike, Model(), Labelled(40, 5, "single", False, True))[0] == "finetune"


def test_a_plan_counts_the_network_that_is_taught(tickets, base, monkeypatch):
    monkeypatch.setattr(plan, "_measured", lambda network, rows, pad, recipe, say: (1.0, recipe))

    def planned(keep):
        return run.dry_run(settings(tickets, base, seeds=2, keep=keep), None, False, lambda line: None)

    best, taught = planned("best"), planned("distilled")
    assert taught.seconds > 1.5 * best.seconds
    assert any("for each of 2 seeds, and for the network that they teach" in line for line in taught.lines())
    assert not any("teach" in line for line in best.lines())
