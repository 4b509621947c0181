"""Texts of one label drawn together and others pushed apart, before a head is fitted: what contrastive training minimises.

As SetFit does it (Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts"), but each batch gives all of its
pairs at once (Khosla et al. 2020, "Supervised Contrastive Learning"), where pairs that are drawn one by one run each
text through the network for every pair that it is in. The number of pairs is so bounded by steps and batch size, whatever
the number of rows. It knows nothing about texts, heads or the Trainer.
"""

import torch
from torch import Tensor

TEMPERATURE = 0.1  # as in the paper; by it the likeness of two texts, their cosine, is divided


def pair_loss(features: Tensor, labels: Tensor) -> Tensor:
    """The loss of a batch: vectors (rows, width) of length 1, class ids (rows,).

    For each row the mean of -ln(share of a row of its label in its likeness to all others); rows that are alone with
    their label count for the others only.
    """
    if len(labels) < 2:
        return (features * 0).sum()
    likeness = features.float() @ features.float().T / TEMPERATURE
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    same = (labels[:, None] == labels[None]) & ~itself
    others = torch.logsumexp(likeness.masked_fill(itself, -torch.inf), dim=1, keepdim=True)
    partners = same.sum(dim=1)
    each = ((others - likeness) * same).sum(dim=1) / partners.clamp(min=1)
    # A sum over no rows keeps the gradient, of nothing, where no row has a partner.
    return each.sum() / (partners > 0).sum().clamp(min=1)
