"""The Python class: settings in the constructor, data in `fit`, answers in the style of scikit-learn.

It goes the same way as the command line (check, split, fit, evaluate, save) and adds nothing of its own to it.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine.config import Config, build, nested
from classifine.data.check import check_splits, clean
from classifine.data.columns import Columns
from classifine.data.read import Splits, from_lists, from_rows
from classifine.data.split import with_validation
from classifine.errors import ClassifineError, ConfigError, DataError
from classifine.labels import kind_of
from classifine.model.base import find_base
from classifine.model.folder import Saved, check_output, load, save, workplace
from classifine.report.evaluate import Evaluation, evaluate


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
        if files := sorted({"source", "validation", "test", "test_share", "sheet"} & settings.keys()):
            raise ConfigError(
                f"'{files[0]}' is for files, which `classifine train` reads. Give the rows to fit instead."
            )
        self._config: Config = build(nested(settings))
        self._saved: Saved | None = None

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

    def predict(self, texts: Sequence[str]) -> NDArray[Any]:
        """The label value of each text (texts,)."""
        ids = self._decision.choose(self.predict_proba(texts))
        return np.asarray(self.classes_[ids])

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Scores (texts, labels), each row summing to 1, columns in the order of `classes_`."""
        scores: NDArray[np.float64] = self._decision.scores(self._logits(texts))
        return scores

    def evaluate(self, texts: Sequence[str], labels: Sequence[Any]) -> Evaluation:
        """The Evaluation on labelled texts (rows,): `.accuracy`, `.macro_f1` and all other metrics."""
        rows = from_lists(texts, labels, "test")
        if not len(rows):
            raise DataError("Got no texts; expected one or more with their labels. Give labelled rows.")
        known = self._fitted.labels
        return evaluate(self._logits(rows.texts), known.encode(rows.labels), known, self._decision)

    def save_pretrained(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write an ordinary transformers checkpoint with the record beside it; OutputError where it cannot be."""
        saved, target = self._fitted, Path(folder)
        check_output(target, overwrite)
        with workplace(target) as place:
            save(place, saved.network, saved.tokenizer, saved.labels, saved.record)
        return target

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "TextClassifier":
        """A classifier that `save_pretrained` or `classifine train` wrote; ModelError where the folder is none."""
        result = cls()
        result._adopt(load(Path(folder)))
        return result

    @property
    def _fitted(self) -> Saved:
        if self._saved is None:
            raise ClassifineError(
                "This classifier is not fitted yet. Call fit(texts, labels) or from_pretrained(folder)."
            )
        return self._saved

    @property
    def _decision(self) -> Any:
        from classifine.infer.predict import decision_of

        return decision_of(self._fitted.record)

    def _logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        from classifine.infer.predict import text_logits

        if isinstance(texts, str):
            raise DataError("Got one text; expected a list of texts. Write [text].")
        listed = list(texts)
        wrong = next((i for i, text in enumerate(listed) if not isinstance(text, str)), None)
        if wrong is not None:
            raise DataError(
                f"Text {wrong + 1} of {len(listed)} is {listed[wrong]!r}; expected text. Replace or drop it."
            )
        return text_logits(self._fitted, listed)

    def _given(self, texts: Any, labels: Sequence[Any] | None, validation: Any) -> Splits:
        judge = from_lists(list(validation[0]), _plain(validation[1]), "validation") if validation else None
        if labels is None:
            if not hasattr(texts, "to_dict"):
                raise DataError("Got texts without labels. Pass fit(texts, labels), or a data frame with both.")
            # A data frame marks what is missing in four ways (None, nan, NaT, NA); rows know one.
            frame = texts.astype(object).where(texts.notna(), None)
            return replace(from_rows(frame.to_dict("records"), self._config.data), validation=judge)
        if isinstance(texts, str):
            raise DataError("Got one text; expected a list of texts. Write fit([text, ...], [label, ...]).")
        values = _plain(labels)
        return Splits(from_lists(list(texts), values), validation=judge, kind=kind_of(values))

    def _train(self, found: Splits) -> None:
        from classifine.train.fit import fit

        config = self._config
        # The caller judges with `evaluate` on rows of their own, so nothing is set aside for test.
        train, validation = with_validation(found, config.data.validation_share, config.train.seed)
        labels = replace(found, train=train).label_set
        columns = found.columns if found.columns.text else Columns(("text",), "label")
        fitted = fit(train, validation, columns, labels, find_base(config.model.base), config, self._say)
        self.history_ = list(fitted.training.history)
        self._adopt(fitted.classifier)

    def _adopt(self, saved: Saved) -> None:
        self._saved = saved
        self.classes_ = np.array(saved.labels.values())

    def _say(self, line: str) -> None:
        if self.verbose:
            sys.stderr.write(line + "\n")


def _plain(values: Iterable[Any]) -> list[Any]:
    """Values of Python's own types, from a list, an array or a series."""
    return [value.item() if isinstance(value, np.generic) else value for value in values]
