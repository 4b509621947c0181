"""The Python class, as scikit-learn's users expect it."""

import gc
import weakref

import numpy as np
import pandas as pd
import pytest
from conftest import QUICK, made_up
from datasets import Dataset

from classifine import ClassifineError, TextClassifier
from classifine.errors import ConfigError, DataError, ModelError, OutputError
from classifine.model.folder import read_record
from classifine.report.card import card
from classifine.train import fit

ROWS = made_up(120)
TEXTS, LABELS = [text for text, _ in ROWS], [label for _, label in ROWS]


def make(base, **settings):
    return TextClassifier(base=str(base), **{**QUICK, **settings})


@pytest.fixture(scope="module")
def fitted(base):
    return make(base).fit(TEXTS, LABELS)


def test_fit_returns_self_and_learns(base):
    classifier = make(base)
    assert classifier.fit(TEXTS, LABELS) is classifier
    assert classifier.classes_.tolist() == ["delivery", "payment", "praise"]
    assert [epoch["epoch"] for epoch in classifier.history_] == [1, 2, 3, 4, 5, 6]
    assert np.mean(classifier.predict(TEXTS) == np.array(LABELS)) > 0.6


def test_a_classifier_holds_no_rows_that_it_learned_from(base, monkeypatch):
    encoded, encode = [], fit.encode

    def noted(*given):
        rows = encode(*given)
        encoded.append(weakref.ref(rows))
        return rows

    monkeypatch.setattr(fit, "encode", noted)
    classifier = make(base, epochs=1).fit(TEXTS, LABELS)
    gc.collect()
    assert [rows() for rows in encoded] == [None, None]
    assert len(classifier.predict(TEXTS)) == 120


def test_columns_of_predict_proba_follow_classes(fitted):
    scores = fitted.predict_proba(TEXTS)
    assert scores.shape == (120, 3)
    assert scores.sum(axis=1) == pytest.approx(np.ones(120))
    assert fitted.predict(TEXTS).tolist() == fitted.classes_[scores.argmax(axis=1)].tolist()
    assert fitted.predict_proba([]).shape == (0, 3)
    assert fitted.predict([]).tolist() == []


def test_evaluate(fitted):
    found = fitted.evaluate(TEXTS, LABELS)
    assert found.rows == 120
    assert found.accuracy == np.mean(fitted.predict(TEXTS) == np.array(LABELS))
    assert found.macro_f1 == found.metrics["macro_f1"]
    assert found.labels == ("delivery", "payment", "praise")


def test_a_second_fit_starts_afresh(base):
    classifier = make(base, epochs=1)
    first = classifier.fit(TEXTS, LABELS).predict_proba(TEXTS)
    assert np.array_equal(classifier.fit(TEXTS, LABELS).predict_proba(TEXTS), first)
    two = ["yes" if label == "praise" else "no" for label in LABELS]
    assert classifier.fit(TEXTS, two).classes_.tolist() == ["no", "yes"]
    assert classifier.predict_proba(TEXTS).shape == (120, 2)
    assert len(classifier.history_) == 1


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"delivery": 2, "payment": 10, "praise": -1}, int),
        ({"delivery": True, "payment": False, "praise": False}, bool),
        ({"delivery": "10", "payment": "9", "praise": "1"}, str),
        ({"delivery": np.int64(3), "payment": np.int64(1), "praise": np.int64(2)}, int),
        ({"delivery": np.True_, "payment": np.False_, "praise": np.False_}, bool),
    ],
)
def test_classes_keep_the_type_of_the_labels(values, kind, base, tmp_path):
    given = [values[label] for label in LABELS]
    classifier = make(base, epochs=1).fit(TEXTS, given)
    distinct = {value.item() if isinstance(value, np.generic) else value for value in values.values()}
    expected = sorted(distinct, key=lambda value: float(value))
    for one in (classifier, TextClassifier.from_pretrained(classifier.save_pretrained(tmp_path / "model"))):
        assert one.classes_.tolist() == expected
        assert {type(value) for value in one.classes_.tolist()} == {kind}
        assert set(one.predict(TEXTS).tolist()) <= set(expected)
        assert one.evaluate(TEXTS, given).rows == 120


def test_arrays_and_series_are_taken(base):
    import pandas as pd

    lists = make(base, epochs=1).fit(TEXTS, LABELS).predict_proba(TEXTS)
    arrays = make(base, epochs=1).fit(np.array(TEXTS), np.array(LABELS)).predict_proba(np.array(TEXTS))
    series = make(base, epochs=1).fit(pd.Series(TEXTS), pd.Series(LABELS)).predict_proba(pd.Series(TEXTS))
    assert np.array_equal(arrays, lists)
    assert np.array_equal(series, lists)


def test_a_data_frame_alone(base):
    import pandas as pd

    frame = pd.DataFrame({"id": range(120), "headline": TEXTS, "topic": [LABELS.index(label) for label in LABELS]})
    classifier = make(base, epochs=1).fit(frame)
    assert classifier.classes_.tolist() == [0, 1, 2]
    assert np.array_equal(
        classifier.predict_proba(TEXTS),
        make(base, epochs=1).fit(TEXTS, frame["topic"].tolist()).predict_proba(TEXTS),
    )


def test_validation_that_is_given_chooses_the_epoch(base):
    shifted = [LABELS[(i + 1) % 120] for i in range(90, 120)]
    classifier = make(base, metric="loss", patience=2).fit(TEXTS[:90], LABELS[:90], validation=(TEXTS[90:], shifted))
    losses = [epoch["validation"]["loss"] for epoch in classifier.history_]
    # Judged against shifted labels, the more it learns the worse it gets.
    assert len(losses) == losses.index(min(losses)) + 3
    assert losses[-1] > min(losses)


def test_a_round_trip_through_a_folder(fitted, tmp_path):
    folder = fitted.save_pretrained(tmp_path / "model")
    again = TextClassifier.from_pretrained(folder)
    assert np.abs(again.predict_proba(TEXTS) - fitted.predict_proba(TEXTS)).max() < 1e-6
    assert again.predict(TEXTS).tolist() == fitted.predict(TEXTS).tolist()
    assert again.evaluate(TEXTS, LABELS).metrics["accuracy"] == fitted.evaluate(TEXTS, LABELS).metrics["accuracy"]
    third = TextClassifier.from_pretrained(str(again.save_pretrained(tmp_path / "again")))
    assert np.array_equal(third.predict_proba(TEXTS), again.predict_proba(TEXTS))


def test_a_saved_folder_has_a_card(fitted, trained, tmp_path):
    folder = fitted.save_pretrained(tmp_path / "model")
    text = (folder / "README.md").read_text("utf-8")
    assert text == card(read_record(folder), {})
    assert "chooses one of 3 labels for a text" in text
    assert "No evaluation was saved with this classifier." in text
    # The metrics of a run are of its folder, and are not carried along.
    again = TextClassifier.from_pretrained(trained).save_pretrained(tmp_path / "again")
    assert "No evaluation was saved with this classifier." in (again / "README.md").read_text("utf-8")


def test_a_folder_that_exists_is_replaced_only_when_asked(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "model")
    with pytest.raises(
        OutputError, match=r"exists already\. Give another folder, or replace it with overwrite=True\.$"
    ):
        fitted.save_pretrained(tmp_path / "model")
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(OutputError, match=r"so it is not replaced\. Give another folder\.$"):
        fitted.save_pretrained(tmp_path / "thesis.txt", overwrite=True)
    (tmp_path / "thesis.txt").unlink()
    fitted.save_pretrained(tmp_path / "model", overwrite=True)
    assert [item.name for item in tmp_path.iterdir()] == ["model"]


def test_the_class_and_the_command_line_agree(trained):
    classifier = TextClassifier.from_pretrained(trained)
    assert classifier.classes_.tolist() == ["delivery", "payment", "praise"]
    assert np.mean(classifier.predict(TEXTS) == np.array(LABELS)) > 0.6


def test_words_go_to_standard_error_and_only_when_asked(base, capsys):
    make(base, epochs=1).fit(TEXTS, LABELS)
    assert capsys.readouterr() == ("", "")
    make(base, epochs=1, verbose=True).fit(TEXTS, LABELS)
    found = capsys.readouterr()
    assert found.out == ""
    assert "epoch 1: training loss" in found.err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epoch": 3}, "There is no setting 'epoch'. Did you mean 'epochs'?"),
        ({"learning_rates": 1e-3}, "Did you mean 'learning_rate'?"),
        ({"epochs": 0}, "train.epochs is 0; expected whole number"),
        ({"metric": "f1"}, "train.metric is 'f1'; expected accuracy, macro_f1"),
    ],
)
def test_settings_that_are_not(settings, words):
    with pytest.raises(ConfigError) as caught:
        TextClassifier(**settings)
    assert words in str(caught.value)


def test_mistakes_in_several_settings_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        TextClassifier(epochs=0, batch_size="many", max_length=1)
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    "call",
    [
        lambda classifier: classifier.predict(["x"]),
        lambda classifier: classifier.predict_proba(["x"]),
        lambda classifier: classifier.evaluate(["x"], ["y"]),
        lambda classifier: classifier.save_pretrained("nowhere"),
    ],
)
def test_not_fitted_yet(call):
    with pytest.raises(ClassifineError, match=r"not fitted yet. Call fit\(texts, labels\)"):
        call(TextClassifier())


def test_a_folder_that_is_no_classifier(tmp_path):
    with pytest.raises(ModelError, match="is not a saved classifier"):
        TextClassifier.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((TEXTS, LABELS[:-1]), "Got 120 texts and 119 labels"),
        ((TEXTS, None), "Got texts without labels"),
        (("one text", ["a"]), "Got one text"),
        (([{"text": text} for text in TEXTS], LABELS), "Text 1 is a dictionary with 'text'; expected a text"),
        ((Dataset.from_dict({"text": TEXTS, "label": LABELS}), LABELS), "a dictionary with 'text', 'label'; expected"),
        ((TEXTS, LABELS, ([*TEXTS[:3], {"text": "x"}], LABELS[:4])), "Text 4 is a dictionary"),
        ((pd.DataFrame(ROWS, columns=["text", "text"]),), "The data frame has two columns named 'text'"),
        ((pd.DataFrame([(*row, 1) for row in ROWS], columns=["text", "1", 1]),), "has two columns named '1'"),
        ((TEXTS, ["same"] * 120), "only the label 'same'"),
        (([], []), "no row with both text and label"),
        ((["the same"] * 120, LABELS), "carry the same text"),
    ],
)
def test_data_that_teaches_nothing(arguments, words, base):
    with pytest.raises(DataError) as caught:
        make(base).fit(*arguments)
    assert words in str(caught.value)


def test_questions_that_cannot_be_answered(fitted):
    with pytest.raises(DataError, match="Got one text"):
        fitted.predict("one text")
    with pytest.raises(DataError, match="'nope' is not one of the classes"):
        fitted.evaluate(["x"], ["nope"])
    with pytest.raises(DataError, match="Got no texts"):
        fitted.evaluate([], [])


def test_a_failed_fit_leaves_the_classifier_as_it_was(base):
    classifier = make(base, epochs=1).fit(TEXTS, LABELS)
    before = classifier.predict_proba(TEXTS)
    with pytest.raises(DataError):
        classifier.fit(TEXTS, ["same"] * 120)
    assert np.array_equal(classifier.predict_proba(TEXTS), before)


def test_validation_rows_beside_a_data_frame_are_heeded(base):
    import pandas

    rows = made_up(60)
    frame = pandas.DataFrame(rows, columns=["text", "label"])
    unknown = (["a text"], ["nowhere"])
    with pytest.raises(DataError, match="nowhere"):
        TextClassifier(base=str(base), **QUICK).fit(frame, validation=unknown)


def test_settings_for_files_are_refused():
    with pytest.raises(ConfigError, match=r"'publish' is for `classifine train`. Call push_to_hub"):
        TextClassifier(publish="maria/tickets")
    with pytest.raises(ConfigError, match="'test' is for files"):
        TextClassifier(test="x.csv")
    for name, value in (
        ("trials", 3),
        ("minutes", 1),
        ("rows", 50),
        ("over", "epochs"),
        ("bases", "a"),
        ("final_seeds", 2),
    ):
        with pytest.raises(ConfigError, match=f"'{name}' is for `classifine tune`"):
            TextClassifier(**{name: value})


def test_fitting_leaves_the_random_numbers_of_the_caller_alone(base):
    import random

    texts, labels = zip(*made_up(60), strict=True)
    random.seed(3)
    expected = random.random()
    random.seed(3)
    TextClassifier(base=str(base), **{**QUICK, "epochs": 1}).fit(texts, labels)
    assert random.random() == expected


def test_a_data_frame_is_answered_row_by_row(fitted, base):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"text": TEXTS, "topic": LABELS})
    assert fitted.predict(frame).tolist() == fitted.predict(TEXTS).tolist()
    assert fitted.predict_proba(frame).shape == (120, 3)
    assert fitted.evaluate(frame, frame["topic"]).accuracy == fitted.evaluate(TEXTS, LABELS).accuracy
    assert fitted.predict(frame["text"]).tolist() == fitted.predict(TEXTS).tolist()
    with pytest.raises(DataError, match=r"Got a dictionary; expected a list of texts or a data frame"):
        fitted.predict({"text": TEXTS})
    frame.loc[3, "text"] = None
    with pytest.raises(DataError, match=r"Text 4 of 120 is None; expected text"):
        fitted.predict(frame)


def test_a_data_frame_without_the_column_of_texts(fitted):
    pd = pytest.importorskip("pandas")
    with pytest.raises(DataError, match="The data frame has the columns a, b; expected text"):
        fitted.predict(pd.DataFrame({"a": [1, 2], "b": [3, 4]}))


def test_frames_of_polars(fitted):
    class Frame:
        """What Polars offers of what is used here."""

        columns = ("text", "topic")

        def to_dict(self):
            raise AssertionError("of pandas alone")

        def to_dicts(self):
            return [{"text": text, "topic": label} for text, label in ROWS]

    assert fitted.predict(Frame()).tolist() == fitted.predict(TEXTS).tolist()


def test_a_data_frame_whose_text_would_be_guessed(fitted):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"comment": ["where is my parcel"], "reply": ["we are looking for it"]})
    with pytest.raises(DataError, match=r"has the columns comment, reply; expected text, which the classifier reads"):
        fitted.predict(frame)
    assert fitted.predict(frame[["comment"]]).tolist() == fitted.predict(["where is my parcel"]).tolist()
    assert fitted.predict(pd.DataFrame({"text": []})).tolist() == []


def test_a_data_frame_with_labels_beside_it(base):
    pd = pytest.importorskip("pandas")
    with pytest.raises(DataError, match=r"Got a data frame and labels beside it; .* Write fit\(frame\)"):
        make(base).fit(pd.DataFrame({"text": TEXTS}), LABELS)


def test_scikit_learn_copies_and_crosses_it(base):
    from sklearn.base import clone, is_classifier
    from sklearn.model_selection import GridSearchCV, cross_val_score

    classifier = make(base, epochs=1)
    assert is_classifier(classifier)
    other = clone(classifier.set_params(learning_rate=0.004))
    assert other is not classifier
    assert other.get_params() == classifier.get_params() == {**other.settings, "verbose": False}
    assert repr(TextClassifier(epochs=2, seed=1)) == "TextClassifier(epochs=2, seed=1)"
    with pytest.raises(ConfigError, match="no setting 'epoch'"):
        other.set_params(epoch=3)
    scores = cross_val_score(other, TEXTS, LABELS, cv=2)
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()
    search = GridSearchCV(other, {"epochs": [1, 4]}, cv=2).fit(TEXTS, LABELS)
    assert search.best_estimator_.settings["epochs"] in (1, 4)
    assert search.score(TEXTS, LABELS) == search.best_estimator_.evaluate(TEXTS, LABELS).accuracy


def test_what_parted_the_labels_that_were_learned_parts_those_to_judge_by(base, tmp_path):
    rows = [(text, f"{label};new" if i % 2 else label) for i, (text, label) in enumerate(made_up(60))]
    frame = pd.DataFrame(rows, columns=["text", "tags"])
    fitted = TextClassifier(base=str(base), **QUICK).fit(frame)
    found = fitted.evaluate(list(frame.text), list(frame.tags)).metrics
    assert (fitted.classes_.tolist(), set(found) >= {"micro_f1"}) == (["delivery", "new", "payment", "praise"], True)
    again = TextClassifier.from_pretrained(fitted.save_pretrained(tmp_path / "model"))
    assert again.evaluate(list(frame.text), list(frame.tags)).metrics == pytest.approx(found, abs=1e-5)
    # Also where it was named, beside lists.
    named = TextClassifier(base=str(base), label_separator=";", **QUICK).fit(list(frame.text), list(frame.tags))
    assert (
        TextClassifier.from_pretrained(named.save_pretrained(tmp_path / "named"))._fitted.record["columns"]["separator"]
        == ";"
    )


def test_lists_in_the_cells_of_a_frame_are_learned_and_judged_by(base):
    rows = [(text, str([label, "new"] if i % 2 else [label])) for i, (text, label) in enumerate(made_up(60))]
    frame = pd.DataFrame(rows, columns=["text", "tags"])
    fitted = make(base, epochs=1).fit(frame)
    assert fitted.classes_.tolist() == ["delivery", "new", "payment", "praise"]
    assert fitted.evaluate(list(frame.text), list(frame.tags)).rows == 60
    named = make(base, epochs=1, label_separator="[]").fit(list(frame.text), list(frame.tags))
    assert named.classes_.tolist() == fitted.classes_.tolist()
