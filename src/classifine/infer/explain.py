"""Why this label: how much each word of a text speaks for it, by integrated gradients or by leaving words out.

Both speak of the logit of a label (of a number the number itself), before softmax or sigmoid, where shares add up. Of
one label among several it is the logit less the mean of all: softmax sees only differences, so a label may also win by
words that lower the logits of the others. This stands in this room because words are left out in the one forward loop
(which keeps no gradients: those captum walks for). How an explanation looks is `report.explained`'s.
"""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from classifine.data.check import has_words
from classifine.data.encode import pad, pad_id
from classifine.data.row import Text, whole
from classifine.errors import ConfigError, DataError
from classifine.infer.forward import logits
from classifine.infer.meter import Meter
from classifine.infer.predict import text_logits
from classifine.infer.spans import Reading, read
from classifine.infer.torch_engine import TorchEngine
from classifine.labels import Task
from classifine.model.folder import Saved
from classifine.say import Say

Method = Literal["gradients", "occlusion"]
Floats = NDArray[np.float64]
Done = Callable[[], None]
# Points of the path at first, doubled until the gap is small or there are MOST of them.
STEPS, MOST = 32, 512
# The gap that is small: this share of what the words add up to, and never less than LEAST of a logit.
SHARE, LEAST = 0.02, 0.01
SILENT = 2.0  # seconds before which nothing is said of how far it is
NO_WORDS = "The text is empty; expected some words to explain. Give a text."


@dataclass(frozen=True)
class Word:
    """A word, its characters `start` to `end` in text number `part` (1 is the second of a pair), and what it adds to
    the label's logit: above 0 it speaks for the label, below 0 against it. `read` tells whether `predict` reads it.
    """

    text: str
    start: int
    end: int
    attribution: float
    part: int = 0
    read: bool = True


@dataclass(frozen=True)
class Explanation:
    """What the words of a text add to one label.

    `label` is its name, `score` what `predict` gives it. `windows` counts the parts in which a text was read that is
    too long for the network; a word has the mean of those that hold it, or where `predict` reads them all what it adds
    to their mean logit. Of integrated gradients the attributions add up
    to the logit of the text less that of a text of nothing but padding, but for the `gap` (in logits; of several
    windows the largest) that `steps` points of the path leave; occlusion has neither.
    """

    text: Text
    label: str
    score: float
    method: Method
    words: tuple[Word, ...]
    windows: int = 1
    gap: float | None = None
    steps: int | None = None
    task: Task = "single"

    @property
    def parts(self) -> tuple[str, ...]:
        """The text, or both of a pair."""
        return (self.text,) if isinstance(self.text, str) else tuple(self.text)

    def strongest(self, k: int) -> list[Word]:
        """The `k` words that speak most for or against the label, strongest first."""
        return sorted(self.words, key=lambda word: -abs(word.attribution))[:k]

    def as_json(self) -> dict[str, Any]:
        """The explanation as plain values."""
        texts = dict(zip(("text", "text_pair"), self.parts, strict=False))
        return {**texts, **{name: value for name, value in asdict(self).items() if name != "text"}}


@dataclass(frozen=True)
class _Attributed:
    """Attributions (windows, words, labels) of the words that are in a window, 0 elsewhere, and how exact they are."""

    values: Floats
    gaps: tuple[float, ...] | None = None
    steps: tuple[int, ...] | None = None


def explain(
    saved: Saved, text: Text, labels: Sequence[str] = (), method: Method = "gradients",
    say: Say = lambda line: None,
) -> tuple[Explanation, ...]:  # fmt: skip
    """The Explanation of each of the labels; without any that of the label which is predicted.

    `say` is told how far a long text is. Of several labels these are all that hold, best first, or the best one where none does. "gradients" are integrated
    gradients (Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks") from a text of padding tokens.
    "occlusion" is the drop of the logit when a word is left out (Zeiler and Fergus 2014, "Visualizing and
    Understanding Convolutional Networks"): a forward for each word, and true by its very definition. Raises
    DataError where there are no words, ConfigError for an unknown label or where gradients lack captum. Gradients hook
    into the network, so nothing else may use it meanwhile.
    """
    _check(saved, text, method)
    text = whole(text) if isinstance(text, str) else (whole(text[0]), whole(text[1]))
    asked = _ids(saved, labels)
    scores = saved.decision.scores(text_logits(saved, [text]))
    ids = asked or _given(saved, scores)
    reading = read(text, saved.tokenizer, saved.max_length, saved.long)
    if not reading.words:  # characters that this tokenizer drops
        raise DataError(NO_WORDS)
    with _progress(saved, len(reading.windows), say) as done:
        found = (_integrated if method == "gradients" else _left_out)(saved, reading, ids, done)
    values, parts = _combined(reading, found.values), (text,) if isinstance(text, str) else text
    seen = reading.read
    return tuple(
        Explanation(
            text, saved.labels.names[label], float(scores[0, label]), method,
            tuple(
                Word(parts[span.part][span.start : span.end], span.start, span.end, float(value), span.part,
                     not seen.isdisjoint(span.places))
                for span, value in zip(reading.words, values[:, column], strict=True)
            ),
            len(reading.windows),
            found.gaps[column] if found.gaps else None,
            found.steps[column] if found.steps else None,
            saved.labels.task,
        )
        for column, label in enumerate(ids)
    )  # fmt: skip


@contextlib.contextmanager
def _progress(saved: Saved, windows: int, say: Say) -> Iterator[Done]:
    """What is to be called after each window; of several it is said how far they are."""
    if windows == 1:
        yield lambda: None
        return
    say(f"explaining in {windows} windows of up to {saved.max_length} tokens")
    with contextlib.closing(Meter("explaining", windows, say, "windows", silent=SILENT)) as meter:
        yield lambda: meter.add(1)


def _check(saved: Saved, text: Text, method: str) -> None:
    pair = saved.record["columns"]["pair"] is not None
    if pair == isinstance(text, str):
        kinds = ("one text", "a pair of texts")
        raise DataError(
            f"Got {kinds[not pair]}; this classifier was trained on {'pairs' if pair else 'single texts'} and expects "
            f"{kinds[pair]}. {'Give the second text, too' if pair else 'Leave the second text out'}."
        )
    if not has_words(text):
        raise DataError(NO_WORDS)
    if method not in ("gradients", "occlusion"):
        raise ConfigError(f"The method is {method!r}; expected gradients or occlusion. Choose one of them.")
    if method == "gradients" and importlib.util.find_spec("captum") is None:
        raise ConfigError(
            "Gradients need captum, which is not installed: pip install 'classifine[explain]'. "
            "Or choose the method occlusion."
        )


def _ids(saved: Saved, names: Sequence[str]) -> list[int]:
    known = saved.labels.label2id
    if unknown := [name for name in names if name not in known]:
        there = ", ".join(saved.labels.names[:20])
        raise ConfigError(f"This classifier has no label {unknown[0]!r}; it has {there}. Choose one of them.")
    return [known[name] for name in names]


def _given(saved: Saved, scores: Floats) -> list[int]:
    """The ids of the labels that are given to a text with these scores (1, labels), best first; or the best one."""
    ranked = [int(i) for i in saved.decision.ranked(scores, len(saved.labels))[0]]
    if saved.labels.task != "multi":
        return ranked[:1]
    holding = saved.decision.choose(scores)[0]
    return [i for i in ranked if holding[i]] or ranked[:1]


def _left_out(saved: Saved, reading: Reading, ids: Sequence[int], done: Done) -> _Attributed:
    """The drop of the logits when a word is left out of a window."""
    values = np.zeros((len(reading.windows), len(reading.words), len(ids)))
    engine, filler = TorchEngine(saved.network), pad_id(saved.tokenizer)
    for number, window in enumerate(reading.windows):
        inside = set(window)
        held = [word for word, span in enumerate(reading.words) if not inside.isdisjoint(span.places)]
        others = [[place for place in window if place not in reading.words[word].places] for word in held]
        found = _centred(saved, logits(engine, reading.rows([window, *others]), filler))[:, list(ids)]
        values[number, held] = found[0] - found[1:]
        done()
    return _Attributed(values)


def _integrated(saved: Saved, reading: Reading, ids: Sequence[int], done: Done) -> _Attributed:
    """Integrated gradients of each window, the tokens of a word added up."""
    values = np.zeros((len(reading.windows), len(reading.words), len(ids)))
    gaps, steps = np.zeros(values[:, 0].shape), np.zeros(values[:, 0].shape, dtype=int)
    for number, window in enumerate(reading.windows):
        special = [place in reading.special for place in window]
        path = _Path(saved, pad(reading.rows([window]), pad_id(saved.tokenizer)), special)
        for column, label in enumerate(ids):
            tokens, gaps[number, column], steps[number, column] = path.attribute(label)
            of_place = dict(zip(window, tokens, strict=True))
            values[number, :, column] = [sum(of_place.get(p, 0.0) for p in span.places) for span in reading.words]
        done()
    return _Attributed(values, tuple(gaps.max(axis=0).tolist()), tuple(steps.max(axis=0).tolist()))


class _Path:
    """The straight way from the embeddings of padding to those of one window, for captum to walk."""

    def __init__(self, saved: Saved, batch: dict[str, NDArray[np.int64]], special: Sequence[bool]) -> None:
        import torch

        self._saved, self._network, tokenizer = saved, saved.network, saved.tokenizer
        self._others = [name for name in batch if name != "input_ids"]
        tensors = {name: torch.from_numpy(array).to(self._network.device) for name, array in batch.items()}
        self._ids, self._more = tensors["input_ids"], tuple(tensors[name] for name in self._others)
        # Padding says less than the mask, which networks were taught to fill: by deletion the better start on pairs of
        # texts, and no worse on others. What stands around every text stays, as in the text with nothing in it.
        filler = tokenizer.mask_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        given = torch.tensor([special], device=self._ids.device)
        self._start = torch.where(given, self._ids, torch.full_like(self._ids, int(filler or 0)))
        self._at_once = max(1, TorchEngine(self._network).tokens // self._ids.shape[1])

    def attribute(self, label: int) -> tuple[Floats, float, int]:
        """(attributions (tokens,), gap, steps) of one label's logit, with as many steps as the gap asks for."""
        steps, difference = STEPS, self._difference(label)
        while True:
            found = self._walk(label, steps)
            gap = abs(float(found.sum()) - difference)
            if gap <= max(SHARE * abs(difference), LEAST) or steps >= MOST:
                return found, gap, steps
            steps *= 2

    def _difference(self, label: int) -> float:
        """The logit at the end of the path less that at its start.

        The embeddings alone are replaced: some networks number the places of tokens by which of them are padding, and
        captum's own check would meet another start than its path.
        """
        import torch

        layer = self._network.get_input_embeddings()
        with torch.no_grad(), self._judging():
            start = layer(self._start)
            end = self._logits(self._ids, *self._more)
            hook = layer.register_forward_hook(lambda *given: start)
            try:
                return float((end - self._logits(self._ids, *self._more))[0, label])
            finally:
                hook.remove()

    def _walk(self, label: int, steps: int) -> Floats:
        """Attributions (tokens,) by so many points of the path."""
        from captum.attr import LayerIntegratedGradients

        with self._judging():
            found = LayerIntegratedGradients(self._logits, self._network.get_input_embeddings()).attribute(
                self._ids, baselines=self._start, target=label, additional_forward_args=self._more, n_steps=steps,
                internal_batch_size=self._at_once,
            )  # fmt: skip
        summed: Floats = found.detach().double().sum(dim=-1)[0].cpu().numpy()
        return summed

    @contextlib.contextmanager
    def _judging(self) -> Iterator[None]:
        """The network without dropout; its train mode is left as it was."""
        training = self._network.training
        self._network.eval()
        try:
            yield
        finally:
            self._network.train(training)

    def _logits(self, ids: Any, *others: Any) -> Any:
        return _centred(
            self._saved, self._network(input_ids=ids, **dict(zip(self._others, others, strict=True))).logits
        )


def _centred(saved: Saved, found: Any) -> Any:
    """Logits (rows, labels) as they are explained: without what all labels share, where one of them is chosen."""
    return found - found.mean(axis=-1, keepdims=True) if saved.labels.task == "single" else found


def _combined(reading: Reading, values: Floats) -> Floats:
    """Attributions (words, labels) from those of each window: the mean of the windows that hold most of a word.

    That is all of it, unless a word is longer than what windows share. Where the answer is the mean of all windows the
    attributions are, too: a word adds nothing to those that do not hold it.
    """
    if reading.judged > 1:
        return np.asarray(values.mean(axis=0), dtype=np.float64)
    held = np.array(
        [[len(set(span.places) & inside) for span in reading.words] for inside in map(set, reading.windows)]
    )
    counted = (held == held.max(axis=0)) & (held > 0)
    combined = (values * counted[:, :, None]).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)[:, None]
    return np.asarray(combined, dtype=np.float64)
