"""An encoder that is asked of each token whether somebody else put it there, and the small network that put it there.

Clark et al. 2020, "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators" (arXiv 2003.10555). It
knows nothing about recipes or texts.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from classifine.infer.masked import NOT_ASKED
from classifine.model.base import Base
from classifine.model.masked import Masked, load_masked

# One in so many of the encoder's layers guesses (the paper: a fourth to a half of the size).
SHARE_OF_LAYERS = 3
# What a wrong guess of a masked token costs beside a wrong answer about a token: the paper's 50 the other way round.
GUESSING = 1 / 50
# The columns of `sums`, each a sum over a row: of guesses their loss and number, of answers about tokens their loss and
# number, the tokens that were replaced, those that were named, and those of them rightly.
SUMS = ("guess_loss", "guesses", "loss", "tokens", "replaced", "named", "found")


class Detector(nn.Module):
    """`generator` guesses masked tokens, and `encoder` reads the text with these guesses in the place of the masks.

    Both read the same vectors of tokens, once `share_words` was called. The linear layers that answer for each token are
    not kept.
    """

    def __init__(self, generator: Any, encoder: Any) -> None:
        super().__init__()
        self.generator, self.encoder = generator, encoder
        self.config, self.base_model_prefix = encoder.config, "encoder"
        width = encoder.config.hidden_size
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))

    @property
    def base_model(self) -> Any:
        """The encoder, by the name under which transformers' networks have theirs."""
        return self.encoder

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return torch.device(self.encoder.device)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, token_type_ids: Tensor | None = None
    ) -> dict[str, Tensor]:
        """`loss` and `sums` (rows, 7; see `SUMS`) of token ids (rows, tokens) with masks, whose `labels` are the
        tokens that stood there. The generator must be inside `asked_alone`. What it guesses is drawn from torch's generator.
        """
        given = {"attention_mask": attention_mask}
        if token_type_ids is not None:
            given["token_type_ids"] = token_type_ids
        asked = labels != NOT_ASKED
        guess = self.generator(input_ids=input_ids, labels=labels, **given)
        text, replaced = input_ids.clone(), torch.zeros_like(asked)
        if asked.any():
            with torch.no_grad():
                # Where the weights are no numbers the loss says so, and a draw would only fail before.
                drawn = torch.distributions.Categorical(
                    logits=guess["logits"].float().nan_to_num(), validate_args=False
                ).sample()  # type: ignore[no-untyped-call]  # torch does not annotate it
            text[asked] = drawn
            replaced[asked] = drawn != labels[asked]
        found = self.head(self.encoder(input_ids=text, **given).last_hidden_state)[..., 0].float()
        read = attention_mask.bool()
        losses = binary_cross_entropy_with_logits(found, replaced.float(), reduction="none") * read
        named = (found > 0) & read
        sums = torch.stack([losses.detach(), *(part.float() for part in (read, replaced, named, named & replaced))])
        return {
            "loss": losses.sum() / read.sum() + GUESSING * guess["loss"],
            "sums": torch.cat([guess["sums"], sums.sum(dim=2).T], dim=1),
        }


def load_detector(base: Base, attention: str | None = None, attention_dropout: bool = True) -> tuple[Detector, Masked]:
    """(network, its generator with the tokenizer) of a base, in float32; what it lacks is drawn from torch's generator:
    seed it before.

    Raises ModelError as `load_masked` does.
    """
    whole = load_masked(base, attention, attention_dropout).network
    layers = max(1, round(whole.config.num_hidden_layers / SHARE_OF_LAYERS))
    part = load_masked(base, attention, attention_dropout, layers)
    return Detector(part.network, whole.base_model), part


def share_words(network: Detector) -> None:
    """Let both read the same vectors of tokens, those of the generator, which may have become more."""
    network.encoder.set_input_embeddings(network.generator.get_input_embeddings())
    network.encoder.config.vocab_size = network.generator.config.vocab_size
