"""The order in which rows are learned from: batches of rows of like length, in random order.

It knows nothing about what the rows say.
"""

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

# Rows are sorted by length within pools of so many batches. More batches take little more padding out, and make those
# that are learned from together more alike.
POOL = 32


class Shuffled(Sampler[int]):
    """Row numbers, batch after batch, in another order each time it is gone through.

    The sampler of transformers goes through each pool from long texts to short ones, so that for many steps on end a
    network sees ever shorter texts, and the last ones before the rate is nothing are short. Here batches of all pools
    are mixed; only the one with the longest row comes first, so that memory runs out at once or not at all.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = torch.as_tensor(list(lengths))
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
        whole = len(self) - len(self) % self._batch
        pools = [
            pool[self._lengths[pool].argsort(stable=True)] for pool in torch.split(mixed[:whole], POOL * self._batch)
        ]
        batches = [batch for pool in pools for batch in torch.split(pool, self._batch) if len(batch)]
        order = [batches[i] for i in torch.randperm(len(batches), generator=draw).tolist()]
        if order:
            longest = max(range(len(order)), key=lambda i: int(self._lengths[order[i]].max()))
            order[0], order[longest] = order[longest], order[0]
        # What is too little for a batch is drawn like all else, and comes last.
        yield from torch.cat([*order, mixed[whole:]]).tolist()
