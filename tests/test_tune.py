"""A search: what it tries, that it goes on, that it never sees test rows, and that what it keeps is an ordinary classifier."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import sentence_encoder, settings
from test_story import FILES, lines, quiet
from typer.testing import CliRunner

from classifine import cli, run, tune
from classifine.config import build
from classifine.errors import ConfigError, OutputError, TrainingError
from classifine.report.page.search import SearchFacts, search_page
from classifine.report.seeds import OverSeeds
from classifine.settings import load_toml
from classifine.train import method as methods
from classifine.train import study as studies
from classifine.train.choose import choose
from classifine.train.hardware import Hardware
from classifine.train.search import Trial, space_of

TRAINED = {"epochs": 2, "batch_size": 32, "patience": 2}


class Enough(Exception):  # noqa: N818
    """The trials are made; what follows them is another test's."""


def wished(tickets, base, train=TRAINED, model=None, **search):
    found = settings(tickets, base)
    parts = {"data": {"source": str(tickets)}, "model": {"max_length": 32, "base": found.model.base, **(model or {})}}
    return build({**parts, "train": train, "search": {"trials": 4, "final_seeds": 2, **search}})


def metrics(value):
    return {"macro_f1": value, "loss": 1 - value, "accuracy": value}


READ, CHOOSE = {}, tune.choose


@pytest.fixture
def made_up_fits(monkeypatch):
    """Trials of no time: each epoch as good as the test's `reach(config, epoch)` says; a list of the configs tried."""
    tried, how, prepare = [], {"reach": lambda config, epoch: 0.5}, run.prepare

    def read_once(config, say):
        rows = Path(config.data.source).read_bytes()
        if rows not in READ:
            READ[rows] = prepare(config, say)
        return READ[rows]

    def ready(rows, labels, base, config, say, method_known=False):
        method = "finetune" if config.train.method == "auto" else config.train.method
        hardware = Hardware("cpu", "processor", 2, bf16=False)
        return None, None, choose(config.train, hardware, len(rows), 10**6, 32, method=method)

    monkeypatch.setattr(run, "prepare", read_once)
    monkeypatch.setattr(tune.work, "ready", ready)
    monkeypatch.setattr(tune.trials, "free_memory", lambda: None)  # there is none, and looking for it takes its time

    def fit(train, validation, columns, labels, base, config, say, callbacks=()):
        tried.append(config)
        epochs = config.train.epochs or 4
        for epoch in range(1, epochs + 1):
            found = [metrics(how["reach"](config, one)) for one in range(1, epoch + 1)]
            callbacks[0]._watch(epoch / epochs, found)
        best = found[-1] if config.train.method == "lp-ft" else max(found, key=lambda one: one["macro_f1"])
        return SimpleNamespace(training=SimpleNamespace(history=[{"validation": best}], best_epoch=1))

    def enough(*args):
        raise Enough

    monkeypatch.setattr(tune.work, "fit", fit)
    monkeypatch.setattr(tune, "choose", enough)
    return tried, how


def searched(config, folder, say=quiet, overwrite=False):
    with pytest.raises(Enough):
        tune.tune(config, folder, overwrite, say)
    return lines(folder / "trials.jsonl")


@pytest.fixture(scope="module")
def tuned(tickets, base, tmp_path_factory):
    said = []
    folder = tmp_path_factory.mktemp("tuned") / "tickets"
    config = wished(tickets, base, trials=3, over=["learning_rate"], model={})
    return tune.tune(config, folder, False, said.append), said


# What is left in the end


def test_an_ordinary_classifier_with_all_that_tells_of_the_search(tuned):
    found, said = tuned
    assert {item.name for item in found.folder.iterdir()} == FILES | {
        "study.db",
        "trials.jsonl",
        "tuned.toml",
        "search.html",
    }
    assert [item.name for item in found.folder.parent.iterdir()] == ["tickets"]
    record = json.loads((found.folder / "classifine.json").read_text("utf-8"))
    search = record["search"]
    assert search["trials"]["all"] == 3
    assert search["kept"] in ("best", "default")
    assert [one["seed"] for one in record["seeds"]] == [43, 44]
    assert (record["seed"] in (43, 44), record["config"]["train"]["seed"]) == (True, 42)
    assert "search" not in record["config"]
    assert f"in 3 trials, judged on validation rows. {search['verdict']}" in (found.folder / "README.md").read_text(
        "utf-8"
    )
    page = (found.folder / "report.html").read_text("utf-8")
    assert "Settings were searched in 3 trials, judged on validation rows; search.html draws them." in page
    assert any(line == f"search  {search['verdict']}" for line in said)
    assert sum(line.startswith("trial   ") and " left" in line for line in said) == 3


def test_the_settings_that_were_kept_train_as_they_are(tuned, tmp_path):
    found, _ = tuned
    config = build(load_toml(found.folder / "tuned.toml"))
    assert (config.train.seed, config.train.epochs) == (42, 2)
    if found.search["kept"] == "best":
        assert config.train.learning_rate == found.search["best"]["settings"]["learning_rate"]
    again = run.train(config, tmp_path / "again", False, quiet)
    record = json.loads((again.folder / "classifine.json").read_text("utf-8"))
    own = json.loads((found.folder / "classifine.json").read_text("utf-8"))
    assert record["data_fingerprint"] == own["data_fingerprint"]
    assert {**record["recipe"], "seed": 0} == {**own["recipe"], "seed": 0}


def test_a_finished_search_is_not_gone_on_with_or_replaced_unasked(tuned, tickets, base):
    with pytest.raises(OutputError, match="exists already"):
        tune.tune(wished(tickets, base), tuned[0].folder, False, quiet)


# What is tried


def test_the_default_recipe_comes_first_and_is_what_train_does(tickets, base, tmp_path, made_up_fits):
    tried, _ = made_up_fits
    config = wished(tickets, base, train={"patience": 2}, trials=3)
    told = searched(config, tmp_path / "out")
    # Nothing is set but what was: the recipe's own rate can still fall back, where one that is named cannot.
    assert tried[0].train == config.train.model_copy(update={"seeds": 1, "seed": 42, "method": "finetune"})
    assert (told[0]["number"], told[0]["default"], told[0]["settings"]["optimizer"]) == (0, True, "adamw")
    assert [one["default"] for one in told] == [True, False, False]
    assert tried[1].train.learning_rate == told[1]["settings"]["learning_rate"]
    assert len({json.dumps(one["settings"]) for one in told}) == 3


def recipes(config, method="finetune", **more):
    hardware = Hardware("cpu", "processor", 2, bf16=False)
    return {name: choose(config.train, hardware, 400, size, 64, method=method) for name, size in more.items()}


def test_what_is_given_a_value_is_not_searched_and_bounds_lie_around_the_default():
    config = build({"train": {"epochs": 3, "weight_decay": 0.02}})
    usual = recipes(config, small=10**7)
    space = space_of(config, usual, 400, part=False)
    assert set(space.drawn) == {"learning_rate", "batch_size", "schedule", "warmup", "head_rate", "optimizer"}
    ends = [space.settings({"learning_rate": end})["learning_rate"] for end in (-1, 0, 1)]
    rate = usual["small"].learning_rate
    assert ends == pytest.approx([rate / 10, rate, rate * 10])
    assert space.drawn["batch_size"].values == (16, 32, 64)


def test_of_several_bases_each_has_the_rates_that_suit_it():
    config = build({"search": {"over": "base, learning_rate"}})
    space = space_of(config, recipes(config, small=10**7, large=10**9), 400, part=False)
    assert set(space.drawn) == {"base", "learning_rate"}
    assert space.settings({"base": "large", "learning_rate": 1.0}) == {"base": "large", "learning_rate": 1e-4}
    own = space.config({"base": "large", "learning_rate": 1.0}, config)
    assert (own.model.base, own.train.learning_rate) == ("large", 1e-4)
    assert (space.config(space.default, config).model.base, config.train.learning_rate) == ("small", None)


@pytest.mark.parametrize(
    ("given", "part", "said"),
    [
        ({"train": {"epochs": 3}, "search": {"over": ["epochs"]}}, False, "--over names epochs, but it is given a value"),
        ({"search": {"over": ["epochs"]}}, True, "--over names epochs, but --rows leaves it to the recipe"),
        ({"search": {"over": ["base"]}}, False, "there is one base only"),
        ({"search": {"over": ["epochs"]}, "several": True}, False, "--over leaves out base, but --base names several"),
        ({"train": {"method": "contrastive"}, "search": {"over": ["head_rate"]}}, False, "fits its head in no steps"),
    ],
)  # fmt: skip
def test_a_search_that_cannot_be_is_refused(given, part, said):
    config = build({name: part for name, part in given.items() if name != "several"})
    method, bases = given.get("train", {}).get("method", "finetune"), {"small": 10**7}
    with pytest.raises(ConfigError, match=said):
        space_of(
            config, recipes(config, method, **bases, **({"large": 10**9} if "several" in given else {})), 400, part
        )


def test_the_rate_of_a_head_that_takes_no_steps_is_not_searched():
    config = build({"train": {"method": "contrastive"}})
    drawn = {
        name: space_of(config, recipes(config, name, small=10**7), 400, False).drawn
        for name in ("contrastive", "lp-ft")
    }
    assert drawn["lp-ft"].keys() - drawn["contrastive"].keys() == {"head_rate"}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"train": {"method": "probe"}}, "--method probe takes no steps, so there is nothing to search. Use"),
        ({"model": {"stride": 0.5}}, "--stride belongs to --long windows"),
    ],
)
def test_what_no_trial_could_do_is_refused_before_the_first(parts, said, tickets, base, tmp_path, made_up_fits):
    with pytest.raises(ConfigError, match=said):
        tune.tune(wished(tickets, base, **parts), tmp_path / "out", False, quiet)
    assert not (tmp_path / "out").exists()


def test_an_average_over_seeds_is_no_wish_of_a_search(tickets, base, tmp_path, made_up_fits):
    tried, _ = made_up_fits
    said = []
    searched(
        wished(tickets, base, train={**TRAINED, "seeds": 3, "keep": "average"}, trials=1), tmp_path / "out", said.append
    )
    assert (tried[0].train.seeds, tried[0].train.keep) == (1, "best")
    assert any(line.startswith("warning keep is average, which a search does not do") for line in said)
    assert "--keep " not in CliRunner().invoke(cli.app, ["tune", "--help"]).output


def test_trials_may_train_on_a_part_of_the_rows(tickets, base, tmp_path, made_up_fits, monkeypatch):
    counts = []
    own = tune.work.fit
    monkeypatch.setattr(
        tune.work, "fit", lambda rows, *rest, **more: counts.append(len(rows)) or own(rows, *rest, **more)
    )
    said = []
    told = searched(wished(tickets, base, train={}, trials=2, rows=30), tmp_path / "out", said.append)
    assert counts == [30, 30]
    assert "epochs" not in told[1]["settings"]
    assert any("trials train on 30 of 96 rows (--rows)" in line for line in said)


@pytest.mark.parametrize(("most", "differs"), [(20, True), (1, False)])
def test_trials_on_a_part_of_the_rows_train_by_the_method_for_all(
    most, differs, tickets, base, tmp_path, made_up_fits, monkeypatch
):
    # 30 rows are so few for each label that a sentence encoder would be trained in another way; 96 are not.
    tried, _ = made_up_fits
    known = methods.Labelled
    monkeypatch.setattr(tune.work, "Labelled", lambda *about: known(*about[:-1], sentence_encoder=True))
    config = wished(tickets, base, train={}, trials=2, rows=30)
    monkeypatch.setattr(methods, "FEW_PER_CLASS", most)
    said = []
    searched(config, tmp_path / "out", said.append)
    assert [one.train.method for one in tried] == ["finetune", "finetune"]
    assert sum("where for 30 rows (--rows) it would be lp-ft" in line for line in said) == differs


# How it goes


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(tickets, base, tmp_path, made_up_fits):
    tried, how = made_up_fits
    config = wished(tickets, base, train={}, trials=5)
    how["reach"] = lambda config, epoch: config.train.learning_rate or 0.1
    whole = searched(config, tmp_path / "whole")
    points = [one["settings"] for one in whole]
    tried.clear()

    def stopped(config, epoch):
        if len(tried) == 3:
            raise KeyboardInterrupt
        return config.train.learning_rate or 0.1

    how["reach"] = stopped
    with pytest.raises(KeyboardInterrupt, match=r"stopped after 2 of 5 trials, kept in .*the same command goes on"):
        tune.tune(config, tmp_path / "out", False, quiet)
    assert tune.unfinished(tmp_path / "out")
    how["reach"] = lambda config, epoch: config.train.learning_rate or 0.1
    tried.clear()
    said = []
    again = searched(config, tmp_path / "out", said.append)
    assert len(tried) == 3
    assert [one["settings"] for one in again] == points
    assert [one["number"] for one in again] == [0, 1, 2, 3, 4]
    assert any("goes on after 2 trials" in line for line in said)
    # More of them may be asked for.
    more = searched(wished(tickets, base, train={}, trials=6), tmp_path / "out")
    assert [one["settings"] for one in more][:5] == points
    assert len(more) == 6


def test_one_that_began_anew_goes_on_without_beginning_anew_again(tickets, base, tmp_path, made_up_fits):
    tried, how = made_up_fits
    config, real = wished(tickets, base, trials=3), tmp_path / "elsewhere"
    real.mkdir()
    # What an interruption before the first trial leaves, here behind a link.
    (tmp_path / "out").symlink_to(real)
    assert len(searched(config, tmp_path / "out")) == 3
    tried.clear()

    def stopped(config, epoch):
        if len(tried) == 2:
            raise KeyboardInterrupt
        return 0.5

    how["reach"] = stopped
    with pytest.raises(
        KeyboardInterrupt, match=r"after 1 of 3 .*the same command without --overwrite goes on from there"
    ):
        tune.tune(config, tmp_path / "out", True, quiet)
    how["reach"] = lambda config, epoch: 0.5
    assert len(searched(config, tmp_path / "out")) == 3
    assert (tmp_path / "out").is_symlink()
    assert len(lines(real / "trials.jsonl")) == 3


def test_another_search_in_its_place_is_refused_in_a_sentence(tickets, base, tmp_path, made_up_fits):
    searched(wished(tickets, base, trials=1), tmp_path / "out")
    with pytest.raises(OutputError, match=r"holds another search, which differs in: search space, settings. Give"):
        tune.tune(wished(tickets, base, train={**TRAINED, "epochs": 3, "head_rate": 2}), tmp_path / "out", False, quiet)
    changed = tmp_path / "tickets.csv"
    changed.write_text(tickets.read_text("utf-8") + "a parcel came late again,delivery\n", "utf-8")
    with pytest.raises(OutputError, match="differs in: rows"):
        tune.tune(wished(changed, base, trials=1), tmp_path / "out", False, quiet)
    anew = searched(wished(changed, base, trials=1), tmp_path / "out", overwrite=True)
    assert len(anew) == 1
    (tmp_path / "out" / "study.db").write_bytes(b"no database at all, and long enough to look like one" * 9)
    with pytest.raises(OutputError, match="cannot be read"):
        tune.tune(wished(changed, base, trials=1), tmp_path / "out", False, quiet)


def test_no_point_is_tried_twice_and_a_small_space_ends(tickets, base, tmp_path, made_up_fits):
    tried, said = made_up_fits[0], []
    config = wished(tickets, base, over=["optimizer", "schedule"], trials=20)
    trials = searched(config, tmp_path / "tuned", said.append)
    points = [tuple(sorted(one["settings"].items())) for one in trials]
    assert len(set(points)) == len(points) == len(tried) < 20
    assert said[-1] == f"search  all {len(points)} points that there are were tried"
    # It is as it was, also when it is asked again.
    assert searched(config, tmp_path / "tuned") == trials


def test_no_trial_looks_at_test_rows(tickets, base, tmp_path, monkeypatch):
    class Poison:
        def __getattribute__(self, name):
            raise AssertionError("a trial looked at test rows")

        __len__ = __iter__ = __getattribute__

    prepare = run.prepare

    def poisoned(*args):
        found = prepare(*args)
        return replace(found, three=replace(found.three, test=Poison()))

    def enough(*args):
        raise Enough

    monkeypatch.setattr(run, "prepare", poisoned)
    monkeypatch.setattr(tune, "choose", enough)
    config = wished(tickets, base, train={"epochs": 1, "batch_size": 64}, trials=2, over=["learning_rate"])
    told = searched(config, tmp_path / "out")
    assert [one["state"] for one in told] == ["complete", "complete"]
    assert [len(one["validation"]) for one in told] == [1, 1]


def test_a_trial_that_fails_is_told_and_the_search_goes_on(tickets, base, tmp_path, made_up_fits):
    tried, how = made_up_fits

    def reach(config, epoch):
        if len(tried) == 2:
            raise TrainingError("The network diverged. Lower something.")
        if len(tried) == 3:
            raise RuntimeError("CUDA out of memory.\nmore of it")
        return float("nan") if len(tried) == 4 else 0.5

    how["reach"] = reach
    said = []
    told = searched(wished(tickets, base), tmp_path / "out", said.append)
    assert [one["state"] for one in told] == ["complete", "failed", "failed", "failed"]
    errors = [
        "The network diverged. Lower something.",
        "RuntimeError: CUDA out of memory.",
        "its macro_f1 is no number",
    ]
    assert [one["error"] for one in told[1:]] == errors
    assert sum(f"failed: {error}" in line for error in errors for line in said) == 3


def test_nothing_is_kept_where_every_trial_failed(tickets, base, tmp_path, made_up_fits, monkeypatch):
    def broken(*args, **more):
        raise TrainingError("It diverged.")

    monkeypatch.setattr(tune.work, "fit", broken)
    monkeypatch.setattr(tune, "choose", CHOOSE)
    with pytest.raises(TrainingError, match=r"the first: It diverged\. Mend that, and begin"):
        tune.tune(wished(tickets, base, trials=2), tmp_path / "out", False, quiet)


def test_a_trial_that_falls_behind_is_stopped_early(tickets, base, tmp_path, made_up_fits, monkeypatch):
    tried, how = made_up_fits
    monkeypatch.setattr(studies, "UNPRUNED", 1)
    how["reach"] = lambda config, epoch: 0.1 * epoch if len(tried) == 1 else 0.01 * epoch
    told = searched(wished(tickets, base, train={"epochs": 4}, trials=2), tmp_path / "out")
    assert [one["state"] for one in told] == ["complete", "pruned"]
    assert (len(told[0]["validation"]), len(told[1]["validation"])) == (4, 1)
    assert told[1]["error"] == "worse than half of the others after epoch 1"


@pytest.mark.parametrize(("method", "values"), [("finetune", [0.9, 0.6]), ("lp-ft", [0.5, 0.6])])
def test_a_trial_is_worth_what_its_method_keeps(method, values, tickets, base, tmp_path, made_up_fits):
    tried, how = made_up_fits
    # The first is good in between and falls; the second rises to its end.
    how["reach"] = lambda config, epoch: {1: 0.4, 2: 0.9, 3: 0.5}[epoch] if len(tried) == 1 else 0.2 * epoch
    told = searched(wished(tickets, base, train={"method": method, "epochs": 3}, trials=2), tmp_path / "out")
    assert [one["value"] for one in told] == pytest.approx(values)


def test_a_trial_is_worth_what_its_network_reaches_in_the_end(tickets, base, tmp_path, monkeypatch):
    made, fit_recipe = [], tune.trials.fit_recipe

    def noted(*given):
        made.append(fit_recipe(*given))
        return made[-1]

    def enough(*args):
        raise Enough

    monkeypatch.setattr(tune.trials, "fit_recipe", noted)
    monkeypatch.setattr(tune, "choose", enough)
    sentences = sentence_encoder(base, tmp_path / "sentences")
    wishes = {"method": "lp-ft", "epochs": 1, "batch_size": 32, "learning_rate": 0.01, "metric": "loss"}
    (told,) = searched(wished(tickets, sentences, train=wishes, trials=1), tmp_path / "out")
    # The head is fitted once more when everything is trained.
    (last,) = made[0].training.history
    assert told["value"] == last["validation"]["loss"] != told["validation"][-1]["loss"]


@pytest.mark.parametrize("all_rows", [True, False])
def test_that_train_would_learn_from_validation_rows_too_is_said(tickets, base, tmp_path, all_rows):
    sentences = sentence_encoder(base, tmp_path / "sentences")
    wishes = {"method": "lp-ft", "epochs": 1, "batch_size": 32, "all_rows": all_rows}
    said = []
    config = wished(tickets, sentences, train=wishes, trials=1)
    tune.tune(config, tmp_path / "out", False, said.append)
    assert sum("learn from validation rows, too, in the end" in line for line in said) == all_rows


def test_no_trial_begins_after_its_minutes(tickets, base, tmp_path, made_up_fits):
    said = []
    told = searched(wished(tickets, base, minutes=1e-9), tmp_path / "out", said.append)
    # The default is made whatever it takes; trials of no time leave room for another, which ends at its first epoch.
    assert len(told) <= 4
    assert told[0]["state"] == "complete"
    assert all(one["error"].startswith("the minutes were over") for one in told[1:])


def test_a_missing_package_is_named(tickets, base, tmp_path, monkeypatch):
    monkeypatch.setattr(studies.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs optuna: pip install 'classifine\[tune\]'"):
        tune.tune(wished(tickets, base), tmp_path / "out", False, quiet)
    assert not (tmp_path / "out").exists()


def test_bases_are_named_again_and_again_and_an_interruption_says_how_to_go_on(monkeypatch, capsys):
    given = []

    def stopped(config, output, overwrite, say):
        given.append((config.model.base, config.search.bases, config.search.over))
        raise KeyboardInterrupt("stopped after 2 of 5 trials.")

    monkeypatch.setattr(tune, "tune", stopped)
    for flags in (["--base", "a", "--base", "b"], ["--base", "c", "--over", "epochs,warmup"]):
        monkeypatch.setattr("sys.argv", ["classifine", "tune", "rows.csv", *flags])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 130
    assert given == [(None, ("a", "b"), ()), ("c", (), ("epochs", "warmup"))]
    assert capsys.readouterr().err == 2 * "classifine: stopped after 2 of 5 trials.\n"


# What is kept, and what is drawn


@pytest.mark.parametrize(
    ("metric", "found", "rows", "better"),
    [
        ("macro_f1", (0.80, 0.84, 0.82), 0.0, True),
        ("macro_f1", (0.71, 0.75, 0.70), 0.0, False),  # a gain within the spread of the seeds
        ("macro_f1", (0.80, 0.84, 0.82), 0.2, False),  # or within what so few rows can tell
        ("macro_f1", (0.60, 0.64, 0.62), 0.0, False),
        ("mse", (0.60, 0.64, 0.62), 0.0, True),
    ],
)
def test_the_best_is_kept_only_where_it_is_clearly_better(metric, found, rows, better):
    over = OverSeeds(metric, (1, 2, 3), (0.70, 0.72, 0.74), found, rows)
    assert over.better == better
    assert ("is kept" if better else "so the default is kept") in over.verdict
    assert f"standard error {over.error:.4f}" in over.verdict


DIVERGED = TrainingError("It diverged.")
OUT_OF_MEMORY = RuntimeError("CUDA error.\nmore of it")


@pytest.mark.parametrize(
    ("best", "failing", "kept", "finals", "said"),
    [
        (3, {}, "compared", 0, "both"),
        (3, {(3, 44): OUT_OF_MEMORY}, "default", 2, "The best trial's recipe failed with seed 44 (RuntimeError: CUDA error.), so the default is kept."),
        (3, {(0, 43): DIVERGED}, "best", 2, "The default recipe failed with seed 43 (It diverged.), so the best trial's is kept."),
        (3, {(0, 43): DIVERGED, (0, 44): DIVERGED, (3, 43): DIVERGED}, "best", 1, "The default recipe failed with seeds 43, 44 (It diverged.), so"),
        (3, {(0, 44): DIVERGED, (3, 43): DIVERGED}, "default", 1, "The best trial's recipe failed with seed 43 (It diverged.), so"),
        (3, dict.fromkeys([(0, 43), (0, 44), (3, 43), (3, 44)], DIVERGED), None, 0, "and the default one with seeds 43, 44 (It diverged.). Mend that"),
        (0, {(0, 43): DIVERGED}, "default", 1, "so the default is kept. It failed with seed 43 (It diverged.)."),
        (0, {(0, 43): DIVERGED, (0, 44): DIVERGED}, None, 0, "The default recipe, the best of the trials, failed with seeds 43, 44 (It diverged.). Begin"),
    ],
)  # fmt: skip
def test_a_recipe_that_fails_in_the_end_loses_to_one_that_does_not(monkeypatch, best, failing, kept, finals, said):
    def final(work, trial, config, seed):
        if (trial, seed) in failing:
            raise failing[trial, seed]
        return SimpleNamespace(seed=seed, trial=trial)

    compared = SimpleNamespace(kept="compared", finals=[], verdict="both")
    monkeypatch.setattr(tune.finals, "_final", final)
    monkeypatch.setattr(tune.finals, "_compared", lambda *given: compared)
    space = SimpleNamespace(default="default", config=lambda point, config: point)
    config = build({"search": {"final_seeds": 2}})
    trial = SimpleNamespace(number=best, value=0.5, point="default" if best == 0 else "found")
    work = SimpleNamespace(space=space, config=config, metric="macro_f1", best=lambda trials: trial)
    if kept is None:
        with pytest.raises(TrainingError) as raised:
            CHOOSE(work, [trial])
        assert said in str(raised.value)
        return
    outcome = CHOOSE(work, [trial])
    assert (outcome.kept, len(outcome.finals)) == (kept, finals)
    assert said in outcome.verdict
    if kept != "compared":
        assert outcome.config == ("found" if kept == "best" else "default")
        assert {one.trial for one in outcome.finals} == {best if kept == "best" else 0}


EVIL = "</script><img src=x onerror=alert(1)>"


def facts(count=12):
    states = ("complete", "complete", "pruned", "failed")
    trials = tuple(
        Trial(
            i, states[i % 4], {}, {"base": EVIL if i % 2 else "a/b", "learning_rate": 1e-5 * 2**i, "epochs": 2 + i % 3, "batch_size": 16 * 2**(i % 3)},
            None if i % 4 == 3 else 0.5 + i / 100, 0.5, ({"macro_f1": 0.5},) * 2, 3.0 * i, EVIL if i % 4 > 1 else None,
        )
        for i in range(count)
    )  # fmt: skip
    over = OverSeeds("macro_f1", (1, 2), (0.5, 0.6), (0.7, 0.8), 0.01)
    searched = ("base", "learning_rate", "epochs", "batch_size")
    shares = dict.fromkeys(searched, 0.25)
    return SearchFacts(EVIL, "macro_f1", False, trials, searched, shares, 9, over.verdict, over, None, 50, 500, 40)


def test_the_page_of_a_search_is_whole_and_safe():
    page = search_page(facts())
    assert EVIL not in page
    assert page.count('<figure id="') == 6
    assert 'data-draws="trials"' in page
    assert "each trained on 50 rows of 500" in page
    assert page.count("<tr") > 12
