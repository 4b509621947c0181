"""Several seeds that teach one more network: what it learns, when it stays, what is told."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import QUICK, fitted_on, made_up, settings

from classifine import TextClassifier, run
from classifine.config import TEMPERATURE, Model, build
from classifine.decide import Decision
from classifine.errors import ConfigError, TrainingError
from classifine.infer.forward import logits
from classifine.infer.predict import text_logits
from classifine.infer.torch_engine import TorchEngine
from classifine.model.folder import load
from classifine.train import fit, plan, several
from classifine.train.lesson import input_columns
from classifine.train.method import Labelled, choose_method
from classifine.train.several import Ensemble, Tried
from classifine.train.soft import constant_loss
from classifine.train.unlearned import guess_alike
from classifine.train.wishes import check_keep


def record_of(found):
    return json.loads((found.folder / "classifine.json").read_text("utf-8"))


def ranked(monkeypatch, own, best):
    """Let the student be of the rank `own`, and the best seed of `best`; seeds among one another as they are."""
    compared = several._distilled

    def distilled(*given):
        ranks = iter([(own,), (best,)])
        with monkeypatch.context() as patch:
            # What it learns by is ranked elsewhere.
            patch.setattr(several, "rank", lambda metric, reached: next(ranks))
            return compared(*given)

    monkeypatch.setattr(several, "_distilled", distilled)


def watched(monkeypatch):
    """(the targets of each network, what each seed answered to its rows), filled while it trains."""
    targets, answers, asked, trained = [], [], Ensemble.ask, fit.train

    def asking(ensemble, tried, seed):
        asked(ensemble, tried, seed)
        saved = tried.fitted.classifier
        answers.append(logits(TorchEngine(saved.network), input_columns(tried.rows), 0) / saved.decision.temperature)

    def training(network, rows, *rest, **more):
        targets.append(np.array(rows["labels"][:]))
        return trained(network, rows, *rest, **more)

    monkeypatch.setattr(Ensemble, "ask", asking)
    monkeypatch.setattr(fit, "train", training)
    return targets, answers


def test_seeds_teach_one_more_network_what_they_answer_on_average(tickets, base, tmp_path, monkeypatch):
    targets, answers = watched(monkeypatch)
    said = []
    monkeypatch.setattr(several, "_PART", 7)  # rows are answered part by part, in order
    config = settings(tickets, base, seeds=2, epochs=2, patience=2, keep="distilled")
    found = run.train(config, tmp_path / "taught", False, said.append)
    assert [own.ndim for own in targets] == [1, 1, 2]
    wanted = Decision("single", TEMPERATURE).scores(np.mean(answers, axis=0))
    assert np.allclose(targets[2], wanted, atol=1e-3)
    record, first = record_of(found), QUICK["seed"]
    told = record["ensemble"]
    assert told["seeds"] == [one["seed"] for one in record["seeds"]] == [first, first + 1]
    assert record["seed"] == first + 2 if told["kept"] else record["seed"] in told["seeds"]
    assert any("teach one more network" in line for line in said)
    assert any(f"{told['together']['macro_f1']:.4f}" in line for line in said if line.startswith("on validation"))


@pytest.mark.parametrize("better", [True, False])
def test_the_one_that_was_taught_stays_where_it_is_no_worse(tickets, base, tmp_path, monkeypatch, better):
    ranked(monkeypatch, float(better), 0.5)
    found = fitted_on(tmp_path / "own", tickets, base, seeds=2, epochs=1, keep="distilled")
    record = record_of(found)
    assert record["ensemble"]["kept"] is better
    card = (found.folder / "README.md").read_text("utf-8")
    assert ("a network that learned what seeds" in card and "learned from | the mean answers" in card) is better
    assert ("the seed that was best on validation rows" in card) is not better
    if better:
        assert record["seed"] == QUICK["seed"] + 2
    else:
        best = next(one for one in record["seeds"] if one["seed"] == record["seed"])
        assert best["test"]["accuracy"] == found.evaluation.accuracy
    # Whatever stays is a classifier as any other.
    saved = load(found.folder)
    assert text_logits(saved, ["My card was charged twice"]).shape == (1, len(saved.labels))


def test_a_student_learns_the_answers_and_no_labels(tickets, base, tmp_path, monkeypatch):
    ranked(monkeypatch, 1, 0)
    asked = Ensemble.ask

    def turned(ensemble, tried, seed):
        asked(ensemble, tried, seed)
        ensemble._on_rows = np.roll(ensemble._on_rows, 1, axis=1) if len(ensemble.seeds) == 2 else ensemble._on_rows

    monkeypatch.setattr(Ensemble, "ask", turned)
    found = fitted_on(tmp_path / "own", tickets, base, seeds=2, epochs=12, patience=12, keep="distilled")
    history = [json.loads(line) for line in (found.folder / "history.jsonl").read_text("utf-8").splitlines()]
    # Each answer is the label after the true one.
    assert history[-1]["validation"]["accuracy"] < 0.1 < record_of(found)["ensemble"]["best"]["accuracy"]


@pytest.mark.parametrize("temperature", [4.0, (1.0, 2.0, 4.0)])
def test_who_is_too_sure_weighs_no_more(saved, encoded, temperature, tickets):
    classifier = replace(saved, record={**saved.record, "decision": {"temperature": temperature, "thresholds": []}})
    count, ensemble = len(saved.labels), Ensemble()
    scale = np.resize(temperature, count) if isinstance(temperature, tuple) else temperature
    if isinstance(temperature, tuple):
        decision = {"temperature": scale.tolist(), "thresholds": []}
        classifier = replace(saved, record={**saved.record, "decision": decision})
    rows = encoded.select(range(12))
    recipe = type("Recipe", (), {"precision": "float32"})()
    fitted = type("Fitted", (), {"classifier": classifier, "training": type("Training", (), {"recipe": recipe})()})()
    ensemble.ask(Tried(fitted, rows, rows), 1)
    own = logits(TorchEngine(saved.network), input_columns(rows), 0)
    assert np.allclose(ensemble._on_rows, own / np.asarray(scale), atol=1e-4)


@pytest.mark.parametrize(("given", "epochs"), [(None, 4), (3, 3)])
def test_what_is_taught_is_learned_for_longer_unless_the_epochs_are_given(
    given, epochs, tickets, base, tmp_path, monkeypatch
):
    ranked(monkeypatch, 1, 0)
    monkeypatch.setattr("classifine.train.choose.MAX_EPOCHS", 2)
    found = fitted_on(tmp_path / "own", tickets, base, seeds=2, epochs=given, keep="distilled")
    record = record_of(found)
    assert record["ensemble"]["kept"]
    assert record["recipe"]["epochs"] == epochs
    assert record["config"]["train"]["epochs"] == given


def guessing(monkeypatch, *seeds):
    """Let these seeds have learned nothing, so that their networks give all texts the same guess."""
    fitted = fit._fit_once

    def once(*given, **more):
        seed = given[1].train.seed
        with monkeypatch.context() as patch:
            patch.setattr(fit, "in_our_way", lambda wishes, recipe: seed in seeds)
            patch.setattr(fit, "settled", lambda network, *rest: guess_alike(network, np.full(3, 1 / 3)) and "a guess")
            return fitted(*given, **more)

    monkeypatch.setattr(fit, "_fit_once", once)


def test_a_seed_that_learned_nothing_is_not_the_best(tickets, base, tmp_path, monkeypatch):
    guessing(monkeypatch, QUICK["seed"])
    # As it was trained, the first is a good one.
    found = fitted_on(tmp_path / "own", tickets, base, seeds=2)
    guess, other = (one["validation"] for one in record_of(found)["seeds"])
    assert (guess["predicted_classes"], guess["loss"]) == (1, pytest.approx(np.log(3), abs=1e-3))
    assert (record_of(found)["seed"], other["predicted_classes"]) == (QUICK["seed"] + 1, 3)


@pytest.mark.parametrize(
    ("guesses", "heard"),
    [("", [1, 2, 3]), ("1", [2, 3]), ("2", [1, 3]), ("13", [2]), ("123", [1, 2, 3])],
)
def test_those_that_learned_nothing_teach_only_where_nobody_learned(saved, encoded, guesses, heard):
    rows, ensemble = encoded.select(range(12)), Ensemble()
    recipe = type("Recipe", (), {"precision": "float32"})()
    fitted = type("Fitted", (), {"classifier": saved, "training": type("Training", (), {"recipe": recipe})()})()
    for seed in (1, 2, 3):
        ensemble.ask(Tried(fitted, rows, rows, str(seed) in guesses), seed)
    own = logits(TorchEngine(saved.network), input_columns(rows), 0) / saved.decision.temperature
    assert ensemble.seeds == heard
    assert np.allclose(ensemble._on_rows, len(heard) * own, atol=1e-4)
    assert np.allclose(ensemble._on_validation, len(heard) * own, atol=1e-4)


@pytest.mark.parametrize("more", [{}, {"long": "windows", "max_length": 8}, {"adapter": "lora"}])
@pytest.mark.parametrize("task", ["single", "multi", "score", "pairs"])
def test_every_task_can_be_taught(base, task, more, monkeypatch):
    if "adapter" in more:
        pytest.importorskip("peft", reason="adapters are an extra")
    ranked(monkeypatch, 1, 0)
    targets, answers = watched(monkeypatch)
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
    assert (told["seeds"], told["kept"]) == ([42, 43], True)
    wanted = Decision("single" if task == "pairs" else task, TEMPERATURE).scores(np.mean(answers, axis=0))
    assert np.allclose(targets[2], wanted[:, 0] if task == "score" else wanted, atol=1e-3)
    assert len(classifier.predict(texts[:3])) == 3


@pytest.mark.parametrize("wishes", [{"class_weights": "balanced"}, {"sampling": "balanced", "correct_prior": True}])
def test_what_labels_count_for_is_in_the_answers(base, wishes, monkeypatch):
    ranked(monkeypatch, 1, 0)
    corrected, seen, asked = fit._correct_prior, [], []
    monkeypatch.setattr(fit, "_correct_prior", lambda *given: seen.append(corrected(*given)))
    # A network that learned nothing gives all texts the guess, but not where labels were to count for more.
    monkeypatch.setattr(fit, "in_our_way", lambda given, recipe: bool(asked.append(given)))
    rows = made_up(300)
    common = rows[0][1]
    texts, labels = zip(*(row for i, row in enumerate(rows) if row[1] == common or not i % 4), strict=True)
    plain = {"base": str(base), "method": "finetune", **QUICK}
    classifier = TextClassifier(**plain, seeds=2, keep="distilled", **wishes).fit(texts, labels)
    assert len(seen) == 2  # of the seeds alone
    assert len(asked) == 3 and {name: getattr(asked[2], name) for name in wishes} == wishes
    record = classifier._fitted.record
    assert record["ensemble"]["kept"] and record["alarms"] == []
    assert classifier.evaluate(texts, labels).macro_f1 > 0.9


def test_where_the_student_fails_the_best_seed_stays(tickets, base, tmp_path, monkeypatch):
    trained, said = fit.train, []

    def broken(network, rows, *rest, **more):
        if np.array(rows["labels"][:]).ndim == 2:
            raise TrainingError("The network diverged.")
        return trained(network, rows, *rest, **more)

    monkeypatch.setattr(fit, "train", broken)
    config = settings(tickets, base, seeds=2, epochs=1, keep="distilled")
    found = run.train(config, tmp_path / "own", False, said.append)
    record = record_of(found)
    assert record["ensemble"]["kept"] is False and record["seed"] in record["ensemble"]["seeds"]
    assert any("is left out, and seed" in line and "diverged" in line for line in said)


def told_ends(monkeypatch):
    """(part, metrics) of each end that trackers are told of from now on."""
    import classifine.train.track

    ended = []

    class Noting(run_tracking()):
        def finish(self, metrics):
            ended.append((self._part, dict(metrics)))
            super().finish(metrics)

    monkeypatch.setattr(classifine.train.track, "Tracking", Noting)
    return ended


@pytest.mark.parametrize("better", [True, False])
def test_trackers_are_told_test_metrics_of_what_stays(tickets, base, tmp_path, monkeypatch, better):
    ranked(monkeypatch, float(better), 0.5)
    ended = told_ends(monkeypatch)
    found = fitted_on(tmp_path / "own", tickets, base, seeds=2, epochs=1, keep="distilled")
    seeds = [f"-{QUICK['seed']}", f"-{QUICK['seed'] + 1}"]
    assert [part for part, _ in ended[:3]] == [*seeds, "-distilled"]
    assert ended[2][1] == (found.evaluation.metrics if better else {})


def run_tracking():
    from classifine.train.track import Tracking

    return Tracking


def diverging(monkeypatch, *seeds):
    """Let the networks of these seeds diverge in their first epoch."""
    trained = fit.train

    def train(network, *given, **more):
        if given[3].seed in seeds:
            with torch.no_grad():
                network.get_input_embeddings().weight.fill_(float("nan"))
        return trained(network, *given, **more)

    monkeypatch.setattr(fit, "train", train)


@pytest.mark.parametrize("lost", [1, 2, 3])
@pytest.mark.parametrize("keep", ["best", "average", "distilled"])
def test_a_seed_that_diverges_is_left_out(tickets, base, tmp_path, monkeypatch, keep, lost):
    diverging(monkeypatch, lost)
    said, others = [], [seed for seed in (1, 2, 3) if seed != lost]
    config = settings(tickets, base, seeds=3, epochs=1, keep=keep)
    found = run.train(config, tmp_path / "own", False, said.append)
    (told,) = [line for line in said if line.startswith("warning seed")]
    assert told.startswith(f"warning seed {lost} is left out. The network diverged")
    record = record_of(found)
    assert [one["seed"] for one in record["seeds"]] == others
    assert record["seed"] in others or (keep, record["seed"]) == ("distilled", 4)
    assert set(record.get({"average": "soup", "distilled": "ensemble"}.get(keep), {}).get("seeds", ())) <= set(others)
    card = (found.folder / "README.md").read_text("utf-8")
    assert "over 2 seeds" in "\n".join(said) and f"Seed {lost} is left out. The network diverged" in card


@pytest.mark.parametrize("keep", ["best", "average", "distilled"])
def test_the_only_seed_that_does_not_diverge_stays(tickets, base, tmp_path, monkeypatch, keep):
    diverging(monkeypatch, 1)
    said = []
    found = run.train(settings(tickets, base, seeds=2, epochs=1, keep=keep), tmp_path / "own", False, said.append)
    record = record_of(found)
    assert (record["seed"], [one["seed"] for one in record["seeds"]]) == (2, [2])
    words = {
        "best": "seed 2 is the best on validation, and stays",
        "average": "seed 2 alone is left, so there is nothing to average",
        "distilled": "seed 2 alone could teach, so nothing is taught",
    }
    assert words[keep] in said
    # Nothing is told over one seed.
    assert "over 1 seed" not in "\n".join(said) + (found.folder / "README.md").read_text("utf-8")
    assert load(found.folder).network is not None


def test_where_every_seed_diverges_nothing_is_left(tickets, base, tmp_path, monkeypatch):
    diverging(monkeypatch, 1, 2)
    said = []
    with pytest.raises(TrainingError, match="The network diverged"):
        run.train(settings(tickets, base, seeds=2, epochs=1), tmp_path / "own", False, said.append)
    assert sum(line.startswith("warning seed 1 is left out") for line in said) == 1


def test_trackers_are_told_of_the_end_of_a_seed_that_diverges(tickets, base, tmp_path, monkeypatch):
    ended = told_ends(monkeypatch)
    diverging(monkeypatch, 1)
    found = fitted_on(tmp_path / "own", tickets, base, seeds=2, epochs=1)
    assert ended[:2] == [("-1", {}), ("-2", found.evaluation.metrics)]


def test_a_teacher_that_is_unsure_can_be_learned_from():
    # As near a guess as the scores of labels that are hardly known; whoever answers alike has learned all there is.
    soft = np.array([[0.62, 0.38], [0.38, 0.62]] * 8, dtype=np.float32)
    assert constant_loss(soft, "single", 1.0) > 0.02
    assert constant_loss(soft, "multi", 1.0) > 0.02


def test_one_seed_cannot_teach():
    with pytest.raises(ConfigError, match="--keep is distilled, and there is one seed"):
        check_keep(build({"train": {"keep": "distilled"}}).train)


@pytest.mark.parametrize("method", ["auto", "probe", "lp-ft", "contrastive"])
def test_methods_for_few_labels_are_not_distilled(method):
    config = build({"train": {"keep": "distilled", "seeds": 2, "method": method}}).train
    with pytest.raises(ConfigError, match="--keep is distilled, which is for --method finetune"):
        choose_method(config, Model(), Labelled(40, 5, "single", False, True))
    alike = config.model_copy(update={"method": "finetune"})
    assert choose_method(alike, Model(), Labelled(40, 5, "single", False, True))[0] == "finetune"


def test_a_plan_counts_the_network_that_is_taught(tickets, base, monkeypatch):
    monkeypatch.setattr(plan, "_measured", lambda network, rows, pad, recipe, say: (1.0, recipe))

    def planned(keep, **more):
        return run.dry_run(settings(tickets, base, seeds=2, keep=keep, **more), None, False, lambda line: None)

    best, taught = planned("best"), planned("distilled")
    assert taught.seconds > 1.5 * best.seconds
    # It learns for twice as long where nobody says for how long.
    longer, usual = planned("distilled", epochs=None), planned("best", epochs=None)
    assert longer.seconds > 1.9 * usual.seconds
    assert longer.taught_epochs == 2 * usual.recipe.epochs
    assert any("for each of 2 seeds, and 6 epochs for the network that they teach" in line for line in taught.lines())
    assert not any("teach" in line for line in best.lines())
