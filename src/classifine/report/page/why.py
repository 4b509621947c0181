"""The worst errors of a run explained, within a bound of work: what words made the network answer so.

By leaving words out, which needs no extra. It knows nothing about pages.
"""

from collections.abc import Sequence
from typing import Any

from classifine.data.row import Text
from classifine.errors import DataError, ModelError
from classifine.infer.explain import explain
from classifine.model.folder import Saved
from classifine.model.network import quiet_transformers
from classifine.report.page.kept import PredictionFact

ERRORS = 10
CHARACTERS = 400  # of a text that are explained
# Weights of the network times the tokens that it reads for it: half a minute of two cores at most. One error is explained
# whatever it takes.
WORK = 2e12


def explained_errors(saved: Saved, rows: Sequence[PredictionFact]) -> dict[str, Any]:
    """Explanations of the errors `rows`, worst first, as explanations.json keeps them.

    Each is of the label that is most wrong: the one that was chosen, of several labels the one that is furthest off.
    """
    found: list[dict[str, Any]] = []
    work = 0.0
    weights = saved.network.num_parameters()
    for row in rows[:ERRORS]:
        text, cut = _shortened(row)
        with quiet_transformers():  # which would warn of a text that is too long for the network
            tokens = len(saved.tokenizer(*([text] if isinstance(text, str) else text), truncation=False)["input_ids"])
        # Each word is left out once, and there are hardly more words than tokens.
        work += float(weights) * min(tokens, saved.max_length) * tokens
        if found and work > WORK:
            break
        try:
            (one,) = explain(saved, text, [_label(row, saved)], "occlusion")
        except DataError:  # a text of characters that the tokenizer drops
            continue
        except ModelError as error:
            return {"errors": [], "missing": str(error)}
        told = {"id": row.id, "truth": row.truth, "prediction": row.prediction, "cut": cut}
        found.append({**told, **one.as_json()})
    return {"errors": found}


def _label(row: PredictionFact, saved: Saved) -> str:
    if saved.labels.task == "single":
        return str(row.prediction)
    if saved.labels.task == "score":
        return saved.labels.names[0]
    true, given = (set(value) if isinstance(value, tuple) else set() for value in (row.truth, row.prediction))
    # Of labels that were wrongly given the surest, of those that were missed the least sure.
    wrong = [name for name in saved.labels.names if (name in true) != (name in given)]
    return max(wrong, key=lambda name: row.scores[name] if name in given else 1 - row.scores[name])


def _shortened(row: PredictionFact) -> tuple[Text, bool]:
    """The text or pair that is explained, and whether it is only its beginning."""
    parts = [row.text] if row.text_pair is None else [row.text, row.text_pair]
    room = CHARACTERS // len(parts)
    # Not in the middle of a word, where there are any.
    kept = [part if len(part) <= room else part[:room].rpartition(" ")[0].strip() or part[:room] for part in parts]
    return (kept[0] if len(kept) == 1 else (kept[0], kept[1])), kept != parts
