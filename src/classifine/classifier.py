"""The Python class: settings in the constructor, data in `fit`, answers in the style of scikit-learn.

It goes the same way as the command line (check, split, fit, evaluate, save) and adds nothing of its own to it.
"""

import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine import publish
from classifine.config import Config, Hub, Search, build
from classifine.data.check import check_splits, clean
from classifine.data.columns import Columns, find_asked
from classifine.data.delimited import check_distinct
from classifine.data.language import find_language
from classifine.data.lists import parts_of
from classifine.data.read import Splits, from_lists, from_rows, paired, task_of
from classifine.data.row import Text, texts_of
from classifine.data.split import sampled, with_validation
from classifine.errors import ClassifineError, ConfigError, DataError
from classifine.infer.choose import open_engine
from classifine.infer.engine import Engine
from classifine.infer.explain import Explanation, Method, explain
from classifine.infer.predict import text_logits
from classifine.infer.torch_engine import TorchEngine
from classifine.labels import as_name, kind_of
from classifine.model.base import Base, find_base, find_suited
from classifine.model.disk import workplace
from classifine.model.folder import Saved, check_output, load, save
from classifine.report.card import write_card
from classifine.report.evaluate import Evaluation, evaluate
from classifine.settings import nested


class TextClassifier:
    """A text classifier on a pre-trained encoder.

    The settings are those of docs/settings.md by their plain names, such as `TextClassifier(epochs=3, seed=1)`;
    ConfigError for one that is unknown or out of bounds. After `fit`: `classes_` (labels,), the label values in the
    fixed order of the columns of `predict_proba`, and `history_`, one dictionary an epoch.
    """

    classes_: NDArray[Any]
    history_: list[dict[str, Any]]

    def __init__(self, *, verbose: bool = False, **settings: Any) -> None:
        self.settings = settings
        self.verbose = verbose
        if files := sorted(
            {"source", "validation", "test", "test_share", "sheet", "encoding", "delimiter"} & settings.keys()
        ):
            raise ConfigError(
                f"'{files[0]}' is for files, which `classifine train` reads. Give the rows to fit instead."
            )
        if hub := sorted(Hub.model_fields.keys() & settings.keys()):
            raise ConfigError(
                f"'{hub[0]}' is for `classifine train`. Call push_to_hub(\"OWNER/NAME\") after fit instead."
            )
        if search := sorted(Search.model_fields.keys() & settings.keys()):
            raise ConfigError(f"'{search[0]}' is for `classifine tune`, which searches. Leave it out.")
        self._config: Config = build(nested(settings))
        self._saved: Saved | None = None

    def __repr__(self) -> str:
        given = {**self.settings, **({"verbose": True} if self.verbose else {})}
        return f"TextClassifier({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        kind = InputTags(one_d_array=True, two_d_array=False, string=True)
        return Tags("classifier", TargetTags(required=True), classifier_tags=ClassifierTags(), input_tags=kind)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings that were given, by which scikit-learn makes another one of the same kind."""
        return {"verbose": self.verbose, **self.settings}

    def set_params(self, **settings: Any) -> "TextClassifier":
        """Change settings for the next `fit`; ConfigError for one that is unknown or out of bounds."""
        given = {**self.get_params(), **settings}
        other = type(self)(**given)
        self.settings, self.verbose, self._config = other.settings, other.verbose, other._config
        return self

    def score(self, texts: Sequence[Text], labels: Sequence[Any]) -> float:
        """The share of texts that are answered right; of several labels all of them, of numbers Pearson's correlation."""
        found = self.evaluate(texts, labels)
        name = {"single": "accuracy", "multi": "subset_accuracy", "score": "pearson"}[found.task]
        return float(found.metrics[name])

    def fit(
        self,
        texts: Any,
        labels: Sequence[Any] | None = None,
        validation: tuple[Sequence[str], Sequence[Any]] | None = None,
    ) -> "TextClassifier":
        """Train on texts (rows,) and labels (rows,), or on a data frame alone whose columns are then found.

        `validation` is (texts, labels) for choosing the best epoch; without it a tenth of the rows is set aside.
        Returns self; a second fit starts afresh. Raises DataError where nothing can be learned from the rows.
        """
        found = self._given(texts, labels, validation)
        report = check_splits(found, self._config.data)
        report.raise_errors()
        for fault in report.warnings:
            self._say(f"warning {fault}")
        self._train(clean(found, report.faults))
        return self

    def predict(self, texts: Sequence[Text]) -> NDArray[Any]:
        """The answer to each text (texts,): its label value, a tuple of them where there are several, or a number.

        A data frame is read by the columns that were learned from, or those of `text` and `text_pair`. A text may be
        empty and gets an answer like any other; DataError for one that is missing.
        """
        answers = self._fitted.decision.choose(self._scores(texts))
        if self._fitted.labels.task == "score":
            return answers
        if self._fitted.labels.task == "single":
            return np.asarray(self.classes_[answers])
        result = np.empty(len(answers), dtype=object)
        result[:] = [tuple(self.classes_[given].tolist()) for given in answers]
        return result

    def predict_proba(self, texts: Sequence[Text]) -> NDArray[np.float64]:
        """Scores (texts, labels), columns in the order of `classes_`; each row sums to 1 where one label is chosen.

        ClassifineError where a number was learned, which has no probability.
        """
        if self._fitted.labels.task == "score":
            raise ClassifineError("This classifier gives numbers, which have no probability. Use predict(texts).")
        return self._scores(texts)

    def evaluate(self, texts: Sequence[Text], labels: Sequence[Any]) -> Evaluation:
        """The Evaluation on labelled texts (rows,): `.accuracy`, `.macro_f1` and all other metrics of the task."""
        known = self._fitted.labels
        mark = self._fitted.record["columns"]["separator"]
        rows = from_lists(self._listed(texts), self._parted(labels, mark), "test", known.task)
        missing = next((number for number, label in zip(rows.ids, rows.labels, strict=True) if label is None), None)
        if missing is not None:
            raise DataError(
                f"Row {missing} of {len(rows)} has no label; expected one for each text. Drop it or label it."
            )
        if not len(rows):
            raise DataError("Got no texts; expected one or more with their labels. Give labelled rows.")
        return evaluate(
            self._logits(rows.texts), known.targets(rows.labels), known, self._fitted.decision,
            calibration=self._fitted.record.get("calibration"),
        )  # fmt: skip

    def explain(self, text: Text, label: Any = None, method: Method = "gradients") -> Explanation:
        """Why a text, or a pair of texts, has a label: `.words`, each with what it adds to the label's logit.

        Without `label` (a value of `classes_`) it is the one that is predicted, of several the best.
        "gradients" are integrated gradients and need captum (`pip install 'classifine[explain]'`), "occlusion" leaves
        out word by word. DataError for a text without words, ConfigError for a label that is unknown.
        """
        if not (isinstance(text, str) or _is_pair(text)):
            raise DataError(f"Got {text!r}; expected one text or a pair of texts. Write explain(text).")
        names = () if label is None else (as_name(label) or str(label),)
        return explain(self._fitted, text if isinstance(text, str) else (text[0], text[1]), names, method)[0]

    def save_pretrained(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write network, tokenizer, record and card; OutputError where it cannot be.

        It is an ordinary transformers checkpoint, or of a method for few labels or without an encoder one of
        sentence-transformers.
        A classifier that is in that folder is replaced only with `overwrite`, and nothing else ever is.
        """
        saved, target = self._fitted, Path(folder)
        check_output(target, overwrite, typed=False)
        with workplace(target, overwrite) as place:
            save(place, saved.network, saved.tokenizer, saved.labels, saved.record)
            write_card(place, {})
        return target

    def push_to_hub(self, repository: str, private: bool = False, license: str | None = None) -> str:
        """Publish to OWNER/NAME on the Hub, fetch it back to compare its answers; the address of the commit.

        Raises HubError where nobody is logged in (`classifine login`) or the Hub does not take it.
        """
        target = publish.Target(repository, private, license)
        publish.check_target(repository, "push_to_hub")
        with tempfile.TemporaryDirectory() as place:
            folder = self.save_pretrained(Path(place) / repository.rpartition("/")[2])
            return publish.publish(folder, target, self._say, "push_to_hub again").url

    @classmethod
    def from_pretrained(cls, folder: str | Path, engine: str = "auto", precision: str = "auto") -> "TextClassifier":
        """A classifier that `save_pretrained` or `classifine train` wrote, from its folder or the Hub (OWNER/NAME).

        `engine` ("torch", "openvino", "onnx") and `precision` ("float32", "bf16", "int8") are by themselves the
        fastest that `classifine export` wrote. ModelError where it is none, ConfigError where that is not there.
        """
        result, saved = cls(), load(Path(folder))
        result._adopt(saved, open_engine(saved, engine, precision))
        return result

    @property
    def _fitted(self) -> Saved:
        if self._saved is None:
            raise ClassifineError(
                "This classifier is not fitted yet. Call fit(texts, labels) or from_pretrained(folder)."
            )
        return self._saved

    def _scores(self, texts: Sequence[Text]) -> NDArray[np.float64]:
        return self._fitted.decision.scores(self._logits(texts))

    def _logits(self, texts: Sequence[Text]) -> NDArray[np.float32]:
        listed = self._listed(texts)
        pairs = self._fitted.record["columns"]["pair"] is not None
        wrong = next(
            (i for i, text in enumerate(listed) if not (_is_pair(text) if pairs else isinstance(text, str))), None
        )
        if wrong is not None:
            expected = "a pair of texts" if pairs else "text"
            raise DataError(
                f"Text {wrong + 1} of {len(listed)} is {listed[wrong]!r}; expected {expected}. Replace or drop it."
            )
        return text_logits(self._fitted, [(text[0], text[1]) for text in listed] if pairs else listed, self._engine)

    def _listed(self, texts: Any) -> list[Any]:
        """The texts that a sequence holds, or a data frame in the columns that were learned from."""
        if isinstance(texts, str):
            raise DataError("Got one text; expected a list of texts. Write [text].")
        if isinstance(texts, Mapping):
            raise DataError("Got a dictionary; expected a list of texts or a data frame. Write its texts as a list.")
        if not _is_frame(texts):
            return list(texts)
        rows, names, saved = _records(texts), list(map(str, texts.columns)), self._fitted
        if not rows:
            return []
        trained = Columns.from_json(saved.record["columns"], saved.labels.task)
        # Nobody is there to be told what a guess took for the text.
        if len(set(names) - {trained.pair}) > 1 and not (self._config.data.text or set(trained.text) <= set(names)):
            raise DataError(
                f"The data frame has the columns {', '.join(names)}; expected {' and '.join(trained.text)}, which the "
                "classifier reads. Rename a column, or give the texts as a list."
            )
        text, pair = find_asked(rows, names, self._config.data, trained, "the data frame")
        return [texts_of(row, text, pair) for row in rows]

    def _given(self, texts: Any, labels: Sequence[Any] | None, validation: Any) -> Splits:
        if labels is not None:
            found = self._from_lists(texts, labels)
        elif _is_frame(texts):
            found = from_rows(_records(texts), self._config.data)
        else:
            raise DataError("Got texts without labels. Pass fit(texts, labels), or a data frame with both.")
        if not validation:
            return found
        given = self._parted(validation[1], found.columns.separator)
        judge = from_lists(list(validation[0]), given, "validation", found.task)
        if paired(judge) != paired(found.train):
            kinds = ("single texts", "pairs of texts")
            raise DataError(
                f"The validation texts are {kinds[paired(judge)]}, and those to fit {kinds[paired(found.train)]}; "
                "expected the same of both. Change one of them."
            )
        return replace(found, validation=judge)

    def _parted(self, labels: Any, known: str | None = None) -> list[Any]:
        """Label values of Python's own types; text with several labels in it as a list of them.

        What parts them is the setting, or what is `known` to have parted those that were learned.
        """
        mark, values = self._config.data.label_separator or known, _plain(labels)
        return [parts_of(value, mark) if mark and isinstance(value, str) else value for value in values]

    def _from_lists(self, texts: Any, labels: Sequence[Any]) -> Splits:
        if isinstance(texts, str):
            raise DataError("Got one text; expected a list of texts. Write fit([text, ...], [label, ...]).")
        if _is_frame(texts):
            raise DataError(
                "Got a data frame and labels beside it; expected the labels in a column of it, or a list of texts. "
                "Write fit(frame), or fit(list(frame[column]), labels)."
            )
        values = self._parted(labels)
        task = self._config.data.task or task_of(values)
        train = from_lists(list(texts), values, "train", task)
        mark = self._config.data.label_separator if task == "multi" else None
        columns = Columns(("text",), "label", pair="text_pair" if paired(train) else None, task=task, separator=mark)
        flat = chain.from_iterable(value if isinstance(value, (list, tuple, set)) else [value] for value in values)
        return Splits(train, columns=columns, task=task, kind=kind_of(flat))

    def _train(self, found: Splits) -> None:
        from classifine.train.fit import fit
        from classifine.train.track import Tracking

        config = self._config
        # The caller judges with `evaluate` on rows of their own, so nothing is set aside for test.
        train, validation = with_validation(found, config.data.validation_share, config.train.seed)
        labels = replace(found, train=train).label_set
        train = sampled(train, config.data.max_train_rows, config.train.seed)
        validation = sampled(validation, config.data.max_eval_rows, config.train.seed)
        base = self._base(found)
        with Tracking(config.train.track, "classifier", self._say) as tracking:
            fitted = fit(
                train, validation, found.columns, labels, base, config, self._say, tracking,
                spare=found.validation is None,
            )  # fmt: skip
        self.history_ = list(fitted.training.history)
        self._adopt(fitted.classifier)

    def _base(self, found: Splits) -> Base:
        from classifine.model.network import fastest_device

        if self._config.model.base:
            return find_base(self._config.model.base)
        language = find_language(found.train, self._config.data.language)
        base, why = find_suited(language.only, fastest_device())
        self._say(f"language: {language}; base: {why}")
        return base

    def _adopt(self, saved: Saved, engine: Engine | None = None) -> None:
        self._saved, self._engine = saved, engine or TorchEngine(saved.network)
        self.classes_ = np.array(saved.labels.values())

    def _say(self, line: str) -> None:
        if self.verbose:
            sys.stderr.write(line + "\n")


def _is_pair(text: Any) -> bool:
    return isinstance(text, (tuple, list)) and len(text) == 2 and all(isinstance(part, str) for part in text)


def _is_frame(texts: Any) -> bool:
    """Whether it is a data frame, of which a series is none."""
    return hasattr(texts, "to_dict") and hasattr(texts, "columns")


def _records(frame: Any) -> list[dict[str, Any]]:
    """The rows of a data frame, which marks what is missing in four ways (None, nan, NaT, NA); rows know one."""
    if hasattr(frame, "to_dicts"):  # of Polars
        return list(frame.to_dicts())
    # Of two columns of one name a dictionary keeps the last.
    check_distinct(list(map(str, frame.columns)), "The data frame")
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(name): _plain_one(value) for name, value in row.items()} for row in plain.to_dict("records")]


def _plain(values: Iterable[Any]) -> list[Any]:
    """Values of Python's own types, from a list, an array or a series; DataError for a matrix of 0 and 1."""
    if getattr(values, "ndim", 1) == 2:
        raise DataError("Got a matrix of labels; expected the names of each row's labels, such as [['a'], ['a', 'b']].")
    return [_plain_one(value) for value in values]


def _plain_one(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return value.tolist() if isinstance(value, np.ndarray) else value
