"""The order in which rows are learned from: batches of rows of like length, in random order, some rows more often.

It knows nothing about what the rows say.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler

# Rows are sorted by length within pools of so many batches. More batches take little more padding out, and make those
# that are learned from together more alike.
POOL = 32
# Rows that come a few times in an epoch would stand side by side if sorted by length alone. Up to such a share of it is
# added by chance, so that they meet the network in several batches. (A row that comes hundreds of times is in all batches
# of its length, and most of their rows.)
BLUR = 0.3


class Shuffled(Sampler[int]):
    """Row numbers, batch after batch, in another order each time it is gone through.

    The sampler of transformers goes through each pool from long texts to short ones, so that for many steps on end a
    network sees ever shorter texts, and the last ones before the rate is nothing are short. Here batches of all pools
    are mixed; only the one with the longest row comes first, so that memory runs out at once or not at all (of rows that
    do not come in every epoch the longest may come later).

    With `often` (rows,), above 0 and 1 on average, a row comes so many times in an epoch: as often as the whole number
    below or above it, drawn anew for each. All in all there are as many rows as ever.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, seed: int, often: NDArray[np.float64] | None = None
    ) -> None:
        self._lengths = torch.as_tensor(list(lengths))
        self._often = None if often is None else torch.as_tensor(often, dtype=torch.float64)
        self._batch = batch_size
        self._seed, self._epoch = seed, 0

    def __len__(self) -> int:
        """The number of rows."""
        return len(self._lengths)

    def set_epoch(self, epoch: int) -> None:
        """Let the next order be that of this epoch: a run that is resumed there goes on as it would have."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        """Row numbers of one epoch."""
        # Seeds that are neighbours must not share the orders of neighbouring epochs.
        draw = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        self._epoch += 1
        mixed = torch.randperm(len(self), generator=draw)
        if self._often is not None:
            mixed = mixed[_as_often(self._often[mixed], draw)]
        whole = len(self) - len(self) % self._batch
        pools = [self._sorted(pool, draw) for pool in torch.split(mixed[:whole], POOL * self._batch)]
        batches = [batch for pool in pools for batch in torch.split(pool, self._batch) if len(batch)]
        order = [batches[i] for i in torch.randperm(len(batches), generator=draw).tolist()]
        if order:
            longest = max(range(len(order)), key=lambda i: int(self._lengths[order[i]].max()))
            order[0], order[longest] = order[longest], order[0]
        # What is too little for a batch is drawn like all else, and comes last.
        yield from torch.cat([*order, mixed[whole:]]).tolist()

    def _sorted(self, pool: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
        """The rows of a pool from short to long."""
        lengths = self._lengths[pool]
        if self._often is not None:
            lengths = lengths * (1 + BLUR * torch.rand(len(pool), generator=draw))
        return pool[lengths.argsort(stable=True)]


def _as_often(often: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """As many places as there are, in random order, each of them as `often` as it says, a fraction more or less.

    Systematic sampling (Madow 1949, "On the Theory of Systematic Sampling, II"): evenly spaced points on a line of pieces,
    of which drawing each by itself would hit the same ones again while it leaves others out.
    """
    ends = often.cumsum(0)
    start = torch.rand(1, generator=draw, dtype=often.dtype)
    points = (torch.arange(len(often)) + start) * (ends[-1:] / len(often))
    places = torch.searchsorted(ends, points, right=True).clamp(max=len(often) - 1)
    return places[torch.randperm(len(often), generator=draw)]
