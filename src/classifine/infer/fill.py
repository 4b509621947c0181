"""What a base model already knows: the tokens that it would put in the place of a mask.

It knows nothing about classifiers; the base must have kept the head of its pre-training.
"""

from dataclasses import asdict, dataclass
from typing import Any

from classifine.decide import Decision
from classifine.errors import DataError, ModelError
from classifine.model.base import Base
from classifine.model.masked import ANOTHER, load_masked
from classifine.model.network import fastest_device

MASKS = ("[MASK]", "<mask>")  # as people write it, whatever the base calls it


@dataclass(frozen=True)
class Guess:
    """One token for a mask: its text, its id in the vocabulary and its share among all tokens."""

    token: str
    id: int
    score: float

    def as_json(self) -> dict[str, Any]:
        """The guess as plain values."""
        return asdict(self)


def fill_mask(text: str, base: Base, top_k: int) -> list[list[Guess]]:
    """The `top_k` best tokens for each mask of `text`, in their order, best first.

    Raises DataError where the text has no mask or is too long, ModelError where the base has no head that fills one.
    """
    import torch

    masked = load_masked(base)
    network, tokenizer = masked.network, masked.tokenizer
    # A head that was drawn at random would answer with noise.
    if masked.new_head:
        raise ModelError(
            f"{base.name} has no head that fills masks: it was kept without the one it was pre-trained with. {ANOTHER}"
        )
    for mask in MASKS:
        text = text.replace(mask, tokenizer.mask_token)
    inputs = tokenizer(text, return_tensors="pt")
    places = (inputs["input_ids"][0] == tokenizer.mask_token_id).nonzero().flatten().tolist()
    if not places:
        raise DataError(f"The text has no mask. Write {MASKS[0]} in the place of the word to be guessed.")
    room = base.max_length(None)
    if inputs["input_ids"].shape[1] > room:
        raise DataError(f"The text has {inputs['input_ids'].shape[1]} tokens; expected {room} at most. Shorten it.")
    device = fastest_device()
    with torch.inference_mode():
        logits = network.eval().to(device)(**inputs.to(device)).logits[0, places].float().cpu().numpy()
    decision = Decision()
    scores = decision.scores(logits)
    best = decision.ranked(scores, top_k)
    return [
        [Guess(tokenizer.decode([i]).strip(), int(i), float(row[i])) for i in ids]
        for row, ids in zip(scores, best, strict=True)
    ]
