"""The report of a run: true to the folder, whole in one file, safe with a stranger's words, and usable in a real browser."""

import hashlib
import html
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import browser
import numpy as np
import pytest
from conftest import fitted_on, settings

from classifine import cli, publish, run
from classifine.data.lengths import token_lengths
from classifine.decide import Decision
from classifine.errors import ModelError
from classifine.labels import Labels
from classifine.metrics import calibration_error, reliability
from classifine.model.disk import write_json
from classifine.report.evaluate import Baseline, evaluate, prediction_lines
from classifine.report.limits import limits
from classifine.report.page import classes, mistakes
from classifine.report.page import why as why_room
from classifine.report.page.figures import at_shares, coverage, frequent_confusions, reliability_bins, residuals
from classifine.report.page.html import SCRIPTS, STATIC, report_page
from classifine.report.page.kept import PredictionFact, read_kept
from classifine.report.page.why import explained_errors
from classifine.strict_json import json_text

EVIL = ("</script><script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "<!-- <b>'&amp;'")
NAMES = {"single": ("calm", *EVIL), "multi": ("calm", *EVIL), "score": ("how good",)}
DATA = Path(__file__).parents[2] / "shared" / "data" / "ag_news"


# Folders as runs would leave them


def fabricated(folder, task="single", rows=60, names=None, pair=False, seed=0):
    """A folder with all that a run keeps, its answers drawn by `seed`; texts, labels, columns and paths are hostile."""
    folder.mkdir()
    draw, names = np.random.default_rng(seed), names or NAMES[task]
    labels, decision = (
        Labels(tuple(names), "str", task),
        Decision(task, thresholds=(0.4,) * len(names) * (task == "multi")),
    )
    if task == "single":
        truth = draw.integers(0, len(names), rows)
        logits = draw.normal(size=(rows, len(names))) + 1.5 * np.eye(len(names))[truth]
    elif task == "multi":
        truth = (draw.random((rows, len(names))) < 0.4).astype(np.float32)
        logits = draw.normal(size=truth.shape) + 2 * truth - 1
    else:
        truth = draw.normal(size=rows).astype(np.float32)
        logits = (truth + draw.normal(size=rows))[:, None]
    words = [f"text {i} {EVIL[i % 3]}" for i in range(rows)]
    texts = [(word, "the other one") for word in words] if pair else words
    simpler = (
        Baseline("the <i>mean</i>", dict.fromkeys(("accuracy", "macro_f1", "micro_f1", "pearson", "spearman"), 0.1)),
    )
    calibration = {"temperature": 1.5, "folded": False} if task != "score" else None
    found = evaluate(logits, truth, labels, decision, simpler, calibration, texts)
    write_json(folder / "evaluation.json", found.as_json())
    lines = prediction_lines(range(1, rows + 1), texts, truth, decision.scores(logits), labels, decision)
    (folder / "predictions.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    epochs = [
        {"epoch": i, "train_loss": 1 / i, "validation": {"loss": 0.5, **found.metrics}, "seconds": 2.0 * i}
        for i in (1, 2)
    ]
    (folder / "history.jsonl").write_text("".join(f"{json_text(epoch)}\n" for epoch in epochs), "utf-8")
    write_json(folder / "data_report.json", about_data(texts, names, rows))
    write_json(folder / "explanations.json", why(task, names, pair))
    write_json(folder / "classifine.json", record(task, names, decision, pair, calibration))
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_text("{}", "utf-8")
    return folder


def record(task, names, decision, pair, calibration):
    source = "/home/maria/secret/rows.csv"
    return {
        "format": 1, "task": task, "labels": list(names), "label_kind": "str", "max_length": 32, "name": EVIL[1],
        "decision": decision.as_json(), "calibration": calibration, "base": "/home/maria/secret/tiny",
        "columns": {"text": ["text"], "pair": "other" if pair else None, "label": EVIL[0], "indicators": [], "separator": None},
        "base_origin": "a local folder", "language": "en", "seed": 7, "best_epoch": 2, "epochs_run": 2,
        "train_seconds": 61.25, "train_rows_per_second": 12.0, "peak_memory_mib": 812, "alarms": [f"odd: {source}"],
        "rows": {"train": 100, "validation": 10, "test": 60}, "judged": {"split": "test", "file": "rows.csv", "trained_on": False},
        "versions": {"python": "3.11"}, "recipe": {"metric": "accuracy", "epochs": 2, "rho": None},
        "config": {"data": {"source": source, "test": "C:\\maria\\test.csv"}, "model": {"base": "/home/maria/secret/tiny"}},
    }  # fmt: skip


def about_data(texts, names, rows):
    lengths = {
        "rows": rows,
        "looked_at": rows,
        "median": 9,
        "most": 30,
        "longest": 70,
        "cut": 3,
        "counts": [20, 30, 10],
    }
    fault = {"severity": "warning", "split": "train", "action": "Kept.", "rows": [1, 2]}
    faults = [
        {**fault, "kind": "duplicate", "message": f"2 rows of /home/maria/secret/rows.csv have {EVIL[0]}."},
        {**fault, "kind": "too-long", "message": "1 row is too long."},
    ]
    split = {
        "source": "/home/maria/secret/rows.csv",
        "rows": rows,
        "classes": dict.fromkeys(names, rows),
        "characters": {"median": 9, "longest": 99},
    }
    return {
        "splits": {"train": split}, "notes": [f"labels from column '{EVIL[0]}'"], "faults": faults, "train_texts": "AAAA",
        "tokens": {"max_length": 32, "width": 16, "splits": {"train": lengths, "test": lengths}},
    }  # fmt: skip


def why(task, names, pair):
    truth, answer = {"single": (names[0], names[-1]), "multi": ([names[0]], []), "score": (1.0, 2.5)}[task]
    words = [
        {"text": EVIL[1], "start": 5, "end": 5 + len(EVIL[1]), "attribution": 0.5},
        {"text": "text", "start": 0, "end": 4, "attribution": -0.4},
    ]
    one = {
        "id": 3,
        "truth": truth,
        "prediction": answer,
        "cut": True,
        "text": f"text {EVIL[1]}",
        "label": names[0],
        "score": 0.6,
        "words": words,
    }
    return {"errors": [{**one, "text_pair": "the other one"} if pair else one]}


class Page(HTMLParser):
    """A page as a browser reads it: its tables, ids, scripts, attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.ids, self.tags, self.attributes, self.scripts, self.text = {}, [], [], [], [], []
        self._table, self._open = None, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [found["id"]] if "id" in found else []
        if tag == "div" and found.get("class") == "table":
            self._table = self.tables.setdefault(found["id"], [])
        if tag == "tr" and self._table is not None:
            self._table.append([])
        if tag in ("th", "td") and self._table is not None:
            self._table[-1].append("")
        if tag == "script":
            self.scripts.append([found.get("type", ""), ""])
        if tag not in ("meta", "br", "img", "input"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass
        if tag == "table":
            self._table = None

    def handle_data(self, data):
        if "script" in self._open:
            self.scripts[-1][1] += data
        elif "style" not in self._open:
            self.text.append(data)
            if self._table and {"th", "td"} & set(self._open):
                self._table[-1][-1] += data

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("reports")
    return {
        "single": fabricated(place / "single"), "multi": fabricated(place / "multi", "multi"),
        "score": fabricated(place / "score", "score", pair=True),
        "many": fabricated(place / "many", rows=900, names=[f"class {i}" for i in range(60)]),
    }  # fmt: skip


@pytest.fixture(scope="module")
def texts(folders):
    """The page of each folder."""
    return {name: report_page(folder) for name, folder in folders.items()}


@pytest.fixture(scope="module")
def pages(texts):
    return {name: Page(text) for name, text in texts.items()}


# What the page says


ALWAYS = ["results", "data", "length", "training", "errors", "labels", "recipe"]


@pytest.mark.parametrize(
    ("name", "more", "charts"),
    [
        ("single", ["classes", "confusion", "scores"], {"headline", "shares", "lengths", "curves", "bars", "matrix", "reliability", "histogram", "coverage"}),
        ("multi", ["classes", "scores"], {"headline", "shares", "lengths", "curves", "bars", "reliability", "histogram", "coverage"}),
        ("score", ["numbers"], {"headline", "shares", "lengths", "curves", "scatter", "residuals"}),
        ("many", ["classes", "confusion", "scores"], {"headline", "shares", "lengths", "curves", "bars", "reliability", "histogram", "coverage"}),
    ],
)  # fmt: skip
def test_each_task_has_its_sections_and_charts(pages, name, more, charts):
    page = pages[name]
    sections = [value for tag, key, value in page.attributes if (tag, key) == ("section", "id")]
    assert sorted(sections) == sorted(ALWAYS + more)
    assert [f"#{one}" for one in sections] == [value for _, key, value in page.attributes if key == "href"][1:]
    assert {value for _, key, value in page.attributes if key == "data-draws"} == charts
    assert len(page.ids) == len(set(page.ids))
    for kind, text in page.scripts:
        if kind:
            assert json.loads(text)


@pytest.mark.parametrize("name", ["single", "multi", "score", "many"])
def test_its_numbers_are_those_of_the_evaluation(folders, pages, name):
    found = json.loads((folders[name] / "evaluation.json").read_text("utf-8"))
    assert found["verdict"] in pages[name].words
    told = {}
    for table in ("headline-table", "metrics-table"):
        for metric, value, interval, *_ in pages[name].tables.get(table, [])[1:]:
            told[metric] = (value, interval)
    assert told == {
        key: (f"{one['value']:.4f}", f"{one['low']:.4f} to {one['high']:.4f}") for key, one in found["metrics"].items()
    }
    parts = [(line[1], line[2], line[4]) for line in pages[name].tables.get("slices-table", [])[1:]]
    assert parts == [(one["name"], str(one["rows"]), f"{one['value']:.3f}") for one in found["slices"]]
    assert (name == "many") <= bool(parts)
    if name != "score":
        classes = {line[0]: line[1:6] for line in pages[name].tables["class-table"][1:]}
        for one in found["classes"]:
            numbers = [f"{one[key]:.3f}" for key in ("precision", "recall", "f1")]
            assert classes[one["label"]] == [*numbers, f"{one['support']:,}", f"{one['predicted']:,}"]


def test_the_charts_of_scores_agree_with_the_metrics(folders):
    for name in ("single", "multi"):
        kept = read_kept(folders[name])
        assert coverage(kept.predictions, kept.decision)[-1]["share"] == 1
        right = "accuracy" if name == "single" else "subset_accuracy"
        assert coverage(kept.predictions, kept.decision)[-1]["accuracy"] == pytest.approx(
            kept.evaluation.metrics[right].value
        )
        bins = reliability_bins(kept.predictions, kept.decision)
        whole = sum(one["rows"] for one in bins)
        error = sum(one["rows"] * abs(one["score"] - one["right"]) for one in bins if one["rows"]) / whole
        assert error == pytest.approx(kept.evaluation.metrics["ece"].value, abs=1e-3)


def test_bins_add_up_to_the_calibration_error():
    draw = np.random.default_rng(1)
    sure, right = draw.random(500), draw.random(500) < 0.5
    bins = reliability(sure, right)
    assert sum(one.rows for one in bins) == 500
    gaps = [one.rows * abs(one.score - one.right) for one in bins if one.rows]
    assert sum(gaps) / 500 == pytest.approx(calibration_error(sure, right))


def test_worst_errors_come_first_and_are_bounded(folders, pages):
    table = pages["many"].tables["errors-table"]
    assert len(table) == 1 + mistakes.ERRORS
    scores = [float(line[4]) for line in table[1:]]
    assert scores == sorted(scores)
    first = json.loads((folders["many"] / "predictions.jsonl").read_text("utf-8").splitlines()[0])
    assert table[1][:3] == [str(first["id"]), first["truth"], first["prediction"]]


def test_many_classes_get_a_table_of_confusions_instead_of_a_matrix(pages):
    assert "matrix-table" not in pages["many"].tables
    counts = [int(line[2]) for line in pages["many"].tables["confusions"][1:]]
    assert counts == sorted(counts, reverse=True)
    assert len(counts) == classes.CONFUSIONS


def test_frequent_confusions():
    found = frequent_confusions(("a", "b"), ((8, 2), (5, 0)), 10)
    assert [(one["true"], one["predicted"], one["rows"], one["share"]) for one in found] == [
        ("b", "a", 5, 1.0),
        ("a", "b", 2, 0.2),
    ]


def test_points_and_residuals(folders):
    curve = [{"share": share / 10, "score": 1 - share / 10, "accuracy": 1.0} for share in range(1, 11)]
    assert [point["share"] for point in at_shares(curve)] == [1.0, 0.9, 0.8, 0.7, 0.5, 0.2]
    kept = read_kept(folders["score"])
    assert sum(one["rows"] for one in residuals(kept.predictions)) == len(kept.predictions)


def test_probable_label_errors_are_listed_or_the_package_is_named(folders, pages, monkeypatch):
    pytest.importorskip("cleanlab", reason="judging labels is an extra")
    assert pages["single"].tables["suspects-table"][0] == ["row", "label", "rather", "score", "text"]
    for name in ("multi", "score"):
        assert "classifine audit DATA judges the rows of train" in pages[name].words
    monkeypatch.setattr(mistakes.importlib.util, "find_spec", lambda name: None)
    page = Page(report_page(folders["single"]))
    assert "pip install 'classifine[audit]'" in page.words
    assert "suspects-table" not in page.tables


def test_rows_that_were_trained_on_are_said_at_the_top(folders, tmp_path):
    folder = shutil.copytree(folders["single"], tmp_path / "flattered")
    found = json.loads((folder / "classifine.json").read_text("utf-8"))
    write_json(folder / "classifine.json", {**found, "judged": {"split": "test", "file": None, "trained_on": True}})
    assert "so the numbers flatter" in Page(report_page(folder)).words


@pytest.mark.parametrize(("device", "told"), [("cuda", "812 MiB of the GPU"), ("cpu", "812 MiB")])
def test_whose_memory_it_was_is_told(folders, tmp_path, device, told):
    folder = shutil.copytree(folders["single"], tmp_path / "own")
    found = json.loads((folder / "classifine.json").read_text("utf-8"))
    write_json(folder / "classifine.json", {**found, "recipe": {**found["recipe"], "device": device}})
    words = Page(report_page(folder)).words
    assert told in words
    assert ("of the GPU" in words) == (device == "cuda")


def test_what_was_read_and_whose_weights_these_are_is_told(folders, tmp_path):
    folder = shutil.copytree(folders["single"], tmp_path / "own")
    found = json.loads((folder / "classifine.json").read_text("utf-8"))
    seeds = [{"seed": seed, "test": {"accuracy": 0.5, "macro_f1": 0.5}} for seed in (7, 8)]
    more = {"long": "windows", "train_rows_cut": 5, "seeds": seeds, "soup": {"seeds": [8, 7]}}
    write_json(folder / "classifine.json", {**found, **more, "calibration": {**found["calibration"], "left_out": 90}})
    words = Page(report_page(folder)).words
    assert "Texts of more than 32 tokens are read in windows of as many" in words
    assert "This report is about the average of the weights of seeds 8, 7." in words
    assert "The weights are an average over seeds" in words and "The weights are those of epoch" not in words
    assert "validation rows and 90 train rows, each answered unseen" in words


@pytest.mark.parametrize("stayed", [True, False])
def test_a_network_that_learned_what_seeds_answer_is_told_as_such(folders, tmp_path, stayed):
    folder = shutil.copytree(folders["single"], tmp_path / "own")
    found = json.loads((folder / "classifine.json").read_text("utf-8"))
    seeds = [{"seed": seed, "test": {"accuracy": 0.5, "macro_f1": 0.5}} for seed in (7, 8)]
    write_json(folder / "classifine.json", {**found, "seeds": seeds, "ensemble": {"seeds": [7, 8], "kept": stayed}})
    words = Page(report_page(folder)).words
    assert ("a network that learned what seeds 7, 8 answer on average" in words) is stayed
    assert ("about the seed that was best on validation rows" in words) is not stayed
    assert ("of another scale" in words) is stayed


def test_a_loss_stands_not_among_what_is_better_the_higher(folders, tmp_path):
    folder = shutil.copytree(folders["single"], tmp_path / "student")
    found = json.loads((folder / "classifine.json").read_text("utf-8"))
    write_json(folder / "classifine.json", {**found, "recipe": {**found["recipe"], "metric": "loss"}})
    epochs = [
        {"epoch": i, "train_loss": 1 / i, "validation": {"loss": 0.5, "agreement": 0.625}, "seconds": 2.0}
        for i in (1, 2)
    ]
    (folder / "history.jsonl").write_text("".join(f"{json_text(epoch)}\n" for epoch in epochs), "utf-8")
    made = report_page(folder)
    assert '"kind": "agreement"' in made or '"kind":"agreement"' in made
    assert "validation agreement" in Page(made).words
    assert made.count("validation loss") == report_page(folders["single"]).count("validation loss")


# What it never shows or does


@pytest.mark.parametrize("name", ["single", "multi", "score"])
def test_hostile_words_stay_words(texts, pages, name):
    page = pages[name]
    assert [kind for kind, _ in page.scripts].count("") == len(SCRIPTS)
    assert not {"img", "iframe", "object", "link", "form", "b", "i"} & set(page.tags)
    assert not [key for _, key, _ in page.attributes if key.startswith("on") or key == "src"]
    assert all(value.startswith("#") for _, key, value in page.attributes if key == "href")
    assert EVIL[1] in page.words
    assert html.escape(EVIL[1]).replace("&quot;", "&#34;").replace("&#x27;", "&#39;") in texts[name]


@pytest.mark.parametrize(
    ("method", "made", "epochs"),
    [
        ("finetune", "fine-tuned from tiny.", "2 run, the best: 2"),
        ("probe", "made of tiny, which is as it was, and a linear head.", "2 run, the last one kept"),
        ("of tomorrow", "made of tiny.", "2 run, the last one kept"),
    ],
)
def test_what_was_done_to_the_base(folders, tmp_path, method, made, epochs):
    folder = shutil.copytree(folders["single"], tmp_path / "few")
    found = json.loads((folder / "classifine.json").read_text("utf-8"))
    write_json(folder / "classifine.json", {**found, "recipe": {**found["recipe"], "method": method}})
    words = Page(report_page(folder)).words
    assert made in words
    assert epochs in words


def test_limits_are_told_and_labels_in_them_stay_text(tmp_path):
    names = (*EVIL, "a`b", "``", "` `` `")
    folder = fabricated(tmp_path / "odd", names=names, rows=40)
    record, found = (json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("classifine", "evaluation"))
    text = report_page(folder)
    part = text.partition('<h3 id="limits">Limits found</h3>')[2].partition("</section>")[0]
    assert part.count("<li>") == len(list(limits(record, found))) > 2
    for name in names:
        assert f"<code>{name}</code>" in html.unescape(part)
    assert set(Page(part).tags) == {"ul", "li", "code"}
    assert not {"img", "b"} & set(Page(text).tags)


def test_no_path_of_this_machine(texts):
    for text in texts.values():
        assert "maria" not in text
        assert "rows.csv" in text


def test_only_its_own_scripts_may_run(texts, pages):
    (policy,) = [value for _, _, value in pages["single"].attributes if value and "default-src" in value]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.partition("style-src")[0]
    assert len(texts["single"].encode()) < 3_000_000


def test_vendored_scripts_are_unchanged_and_come_with_their_licences(texts):
    told = dict(re.findall(r"^\| `(\S+)` \|.*`(\w{64})` \|$", (STATIC / "README.md").read_text("utf-8"), re.MULTILINE))
    for name, licence in SCRIPTS:
        if licence:
            content = (STATIC / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == told[name]
            assert (STATIC / licence).read_text("utf-8").strip() in texts["single"]


# Folders that lack something, or are damaged


@pytest.mark.parametrize(
    ("file", "section", "words"),
    [
        ("evaluation.json", "results", "This folder has no evaluation.json"),
        ("data_report.json", "data", "This folder has no data_report.json"),
        ("history.jsonl", "training", "This folder has no history.jsonl"),
        ("predictions.jsonl", "errors", "This folder has no predictions.jsonl"),
        ("explanations.json", "errors", "so the errors are not explained"),
    ],
)
def test_a_file_that_is_missing_is_said_in_its_section(folders, tmp_path, file, section, words):
    for name in ("single", "score"):
        folder = shutil.copytree(folders[name], tmp_path / name)
        (folder / file).unlink()
        part = report_page(folder).partition(f'<section id="{section}"')[2].partition("</section>")[0]
        assert words in html.unescape(part)


def test_a_folder_with_nothing_but_a_classifier_has_a_report(folders, tmp_path):
    folder = shutil.copytree(folders["single"], tmp_path / "bare")
    for file in ("evaluation.json", "data_report.json", "history.jsonl", "predictions.jsonl", "explanations.json"):
        (folder / file).unlink()
    assert Page(report_page(folder)).words.count("This folder ") >= 6


def run_command(monkeypatch, capsys, *words):
    monkeypatch.setattr("sys.argv", ["classifine", "report", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    shown = capsys.readouterr()
    return ended.value.code, shown.out, shown.err


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("evaluation.json", '{"rows": "many"}', "evaluation.json is damaged: rows: "),
        ("evaluation.json", "[1", "evaluation.json is damaged: "),
        ("evaluation.json", '{"rows": 1, "metrics": {}, "slices": [{"kind": "length", "name": "a", "rows": -1, "metric": "mae", "value": 1, "error": 1}]}', "evaluation.json is damaged: slices.0.rows"),
        ("data_report.json", '{"splits": 3}', "data_report.json is damaged: splits: "),
        ("history.jsonl", "{}\n", "history.jsonl is damaged: line 1: epoch: "),
        ("explanations.json", '{"errors": [{"id": 1}]}', "explanations.json is damaged: errors.0."),
        ("predictions.jsonl", '{"id": 1, "text": "a", "truth": "x", "prediction": "calm", "scores": {}}\n', "predictions.jsonl is damaged: row 1"),
        ("predictions.jsonl", '{"id": 1, "text": "a", "truth": 2.5, "prediction": "calm", "scores": {}}\n', "predictions.jsonl is damaged: row 1"),
        ("classifine.json", "{}", "classifine.json is damaged"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_sentence(folders, tmp_path, monkeypatch, capsys, file, content, words):
    folder = shutil.copytree(folders["single"], tmp_path / "damaged")
    (folder / file).write_text(content, "utf-8")
    code, out, err = run_command(monkeypatch, capsys, folder)
    assert (code, out) == (1, "")
    assert words in err and err.count("\n") == 1
    assert not (folder / "report.html").exists()


def test_the_command_says_what_is_wrong(folders, tmp_path, monkeypatch, capsys):
    there = tmp_path / "there.html"
    there.write_text("mine", "utf-8")
    for words, sentence in (
        ([tmp_path / "none"], "No such classifier"),
        ([folders["single"], "-o", there], "exists already"),
        ([folders["single"], "-o", tmp_path / "no" / "page.html"], "cannot be written"),
        ([folders["single"], "-o", tmp_path], "cannot be written"),
    ):
        code, out, err = run_command(monkeypatch, capsys, *words)
        assert (code, out) == (1, "") and sentence in err and err.count("\n") == 1
    assert there.read_text("utf-8") == "mine"
    assert run_command(monkeypatch, capsys, folders["single"], "-o", there, "--overwrite") == (0, f"{there}\n", "")
    assert [item.name for item in tmp_path.iterdir()] == ["there.html"]


# A real run


def test_train_writes_the_report_and_the_command_makes_the_same(trained, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(trained, tmp_path / "tickets")
    before = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    code, out, _ = run_command(monkeypatch, capsys, folder)
    assert (code, out) == (0, f"{folder / 'report.html'}\n")
    assert (folder / "report.html").read_bytes() == before
    page = Page(before.decode("utf-8"))
    assert "This folder has no" not in page.words
    assert str(trained) not in before.decode("utf-8") and str(trained.parent) not in before.decode("utf-8")
    evaluation = json.loads((trained / "evaluation.json").read_text("utf-8"))
    assert page.tables["headline-table"][1][:2] == ["accuracy", f"{evaluation['metrics']['accuracy']['value']:.4f}"]
    length = {line[0]: line for line in page.tables["length-table"][1:]}
    assert [length[name][1] for name in ("train", "validation", "test")] == ["96", "12", "12"]


def test_training_does_not_end_for_a_report_that_cannot_be_made(tickets, base, tmp_path, monkeypatch):
    def broken(folder):
        raise ModelError("the page fell apart")

    monkeypatch.setattr(run, "report_page", broken)
    said = []
    folder = run.train(settings(tickets, base, epochs=1), tmp_path / "model", False, said.append).folder
    assert (folder / "model.safetensors").exists() and not (folder / "report.html").exists()
    assert "warning there is no report. ModelError: the page fell apart" in said


def test_errors_are_explained(trained):
    found = json.loads((trained / "explanations.json").read_text("utf-8"))["errors"]
    rows = [json.loads(line) for line in (trained / "predictions.jsonl").read_text("utf-8").splitlines()]
    wrong = [row for row in rows if not row["correct"]][:10]
    assert [one["id"] for one in found] == [row["id"] for row in wrong]
    for one, row in zip(found, wrong, strict=True):
        assert (one["label"], one["text"]) == (row["prediction"], row["text"])
        assert one["score"] == pytest.approx(row["scores"][row["prediction"]], abs=1e-4)


def told(**more):
    """A line of predictions.jsonl."""
    return PredictionFact.model_validate(
        {"id": 1, "text": "my parcel is late", "truth": "payment", "prediction": "delivery", **more}
    )


def test_explaining_is_bounded(saved, monkeypatch):
    long = told(text="parcel " * 300)
    (one,) = explained_errors(saved, [long])["errors"]
    assert one["cut"] and len(one["text"]) <= why_room.CHARACTERS
    assert len(explained_errors(saved, [told()] * 30)["errors"]) == why_room.ERRORS
    monkeypatch.setattr(why_room, "WORK", 0)
    assert len(explained_errors(saved, [told()] * 3)["errors"]) == 1
    assert explained_errors(saved, [told(text="\u200b \u200b")])["errors"] == []


def test_a_tokenizer_that_does_not_tell_where_its_tokens_stand_is_said(saved, tmp_path, folders, monkeypatch):
    monkeypatch.setattr(type(saved.tokenizer), "is_fast", False)
    found = explained_errors(saved, [told()])
    assert found["errors"] == [] and "does not tell where its tokens stand" in found["missing"]
    folder = shutil.copytree(folders["single"], tmp_path / "slow")
    write_json(folder / "explanations.json", found)
    assert found["missing"] in Page(report_page(folder)).words


def test_of_several_labels_the_one_that_is_most_wrong_is_explained(saved):
    several = replace(saved, labels=replace(saved.labels, task="multi"))
    scores = {"delivery": 0.7, "payment": 0.1, "praise": 0.4}
    row = told(truth=["payment", "praise"], prediction=["delivery"], scores=scores)
    assert why_room._label(row, several) == "payment"
    assert (
        why_room._label(told(truth=["praise"], prediction=["delivery", "praise"], scores=scores), several) == "delivery"
    )


def test_publish_keeps_what_quotes_the_data(trained):
    wanted, left = publish.files(trained)
    assert {"report.html", "explanations.json", "predictions.jsonl", "data_report.json"} <= {item.name for item in left}
    assert not {"report.html", "explanations.json"} & {item.name for item in wanted}


def test_lengths_are_counted_before_anything_is_cut():
    rows = type("Rows", (), {"name": "train", "texts": ["a", "b", "c", "d"], "__len__": lambda self: 4})()
    found = token_lengths([rows], lambda texts: [1, 80, 81, 900], 80)
    own = found["splits"]["train"]
    assert (found["width"], own["cut"], own["longest"], own["looked_at"]) == (4, 2, 900, 4)
    assert (own["counts"][0], own["counts"][19], own["counts"][20], own["counts"][-1]) == (1, 1, 1, 1)


# In a browser


def rows_of(page, table):
    return page.value(
        f"[...document.querySelectorAll('#{table} tbody tr')].filter(r => !r.hidden).map(r => r.cells[0].textContent)"
    )


def focus_on_first_head(page, table):
    page.value(f"document.querySelector('#{table} .filter input').focus()")
    page.press("Tab", 9)
    page.press("Tab", 9)
    assert page.value("document.activeElement.textContent") == "row"


def sorts_and_filters(page, table):
    before = rows_of(page, table)
    page.value(f"document.querySelector('#{table} th button').click()")
    page.value("new Promise(done => setTimeout(done, 50))")
    assert rows_of(page, table) == sorted(before, key=int, reverse=True)
    focus_on_first_head(page, table)
    page.press("Enter", 13, "\r")
    page.value("new Promise(done => setTimeout(done, 50))")
    assert rows_of(page, table) == sorted(before, key=int)
    assert page.value(f"document.querySelector('#{table} th').getAttribute('aria-sort')") == "ascending"
    page.value(f"document.querySelector('#{table} .filter input').focus()")
    text = page.value(f"document.querySelector('#{table} tbody tr').cells[5].textContent").split()
    page.type(f"{text[0].upper()} {text[1]}")
    shown = rows_of(page, table)
    assert 1 <= len(shown) < len(before)
    assert page.value(f"document.querySelector('#{table} output').textContent") == f"{len(shown)} of {len(before)} rows"


def looked_at(page, file):
    """The page opened wide and on a phone: all is drawn, nothing sticks out, nothing is complained of or asked for."""
    for width, phone in ((1400, False), (390, True)):
        page.window(width, phone=phone, dark=phone)
        page.open(file)
        assert page.value("document.documentElement.scrollWidth") <= width
        charts = page.value("document.querySelectorAll('figure[data-draws]').length")
        drawn = "[...document.querySelectorAll('figure[data-draws] svg[role=img]')].filter(s => s.getAttribute('aria-label'))"
        assert charts == page.value(f"{drawn}.length") > 5


def nothing_was_said_or_asked(page, file):
    assert page.told("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown") == []
    assert {one["request"]["url"] for one in page.told("Network.requestWillBeSent")} == {file.absolute().as_uri()}


needs_browser = pytest.mark.skipif(browser.found() is None, reason=f"none of {', '.join(browser.NAMES)} is on PATH")


@needs_browser
def test_in_a_real_browser(texts, base, tmp_path):
    """All in one browser: to start one takes longer than all that is done in it."""
    with browser.Browser() as page:
        for name, text in texts.items():
            file = tmp_path / f"{name}.html"
            file.write_text(text, "utf-8")
            looked_at(page, file)
            if name == "many":
                sorts_and_filters(page, "errors-table")
            nothing_was_said_or_asked(page, file)
            page.events.clear()
        # A script that is not the page's own is refused, and said.
        file.write_text(texts["single"].replace("</body>", "<script>document.title = 'mine'</script></body>"), "utf-8")
        page.open(file)
        assert page.value("document.title") != "mine"
        assert "Content Security Policy" in page.told("Log.entryAdded")[0]["entry"]["text"]


@needs_browser
@pytest.mark.skipif(not (DATA / "test.jsonl").exists(), reason=f"{DATA} is not on this machine")
def test_the_report_of_an_ag_news_run_in_a_real_browser(base, tmp_path):
    rows = (DATA / "train_part.jsonl").read_text("utf-8").splitlines(keepends=True)[::100]
    (tmp_path / "train.jsonl").write_text("".join(rows), "utf-8")
    rows = (DATA / "test.jsonl").read_text("utf-8").splitlines(keepends=True)[::76]
    (tmp_path / "test.jsonl").write_text("".join(rows), "utf-8")
    file = fitted_on(tmp_path / "ag", tmp_path, base, epochs=1).folder / "report.html"
    assert file.stat().st_size < 3_000_000
    with browser.Browser() as page:
        looked_at(page, file)
        sorts_and_filters(page, "errors-table")
        nothing_was_said_or_asked(page, file)
