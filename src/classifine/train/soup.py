"""The weights of several runs averaged into one network, as accurate as an ensemble often and as fast as one of them.

Wortsman et al. 2022, "Model soups" (arXiv 2203.05482), the greedy soup: from the best run on, each of the others joins
only where the average is then no worse on validation. It needs runs that began with the same weights, head included:
averages of networks that learned apart from the start answer nothing. It knows nothing about texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifine.train.lesson import Validate
from classifine.train.progress import rank

State = dict[str, Any]


@dataclass(frozen=True)
class Soup:
    """The places of the runs that joined, the best first, and what was reached on validation before and with them."""

    joined: tuple[int, ...]
    best: dict[str, float]
    reached: dict[str, float]


def put_away(network: Any, file: Path) -> None:
    """Keep a network's weights for the soup; on disk, so that memory does not grow with the number of runs."""
    from safetensors.torch import save_file

    # Tied weights share their memory, which a file of tensors cannot.
    save_file({name: weight.detach().cpu().clone().contiguous() for name, weight in network.state_dict().items()}, file)


def stir(network: Any, files: Sequence[Path], validate: Validate, metric: str) -> Soup:
    """Leave in `network` the greedy average of the weights in `files`, the best run's first."""
    mean, joined = _taken(files[0]), [0]
    best = reached = _judged(network, mean, validate)
    for place, file in enumerate(files[1:], 1):
        candidate = _joined(mean, _taken(file), len(joined))
        found = _judged(network, candidate, validate)
        if rank(metric, found) >= rank(metric, reached):
            mean, reached = candidate, found
            joined.append(place)
    network.load_state_dict(mean)
    return Soup(tuple(joined), best, reached)


def _taken(file: Path) -> State:
    from safetensors.torch import load_file

    return dict(load_file(file))


def _judged(network: Any, weights: State, validate: Validate) -> dict[str, float]:
    network.load_state_dict(weights)
    return validate(network)


def _joined(mean: State, more: State, count: int) -> State:
    """The mean of one more network; numbers that are whole, such as places, are the same in all of them."""
    return {
        name: (weight * count + more[name]) / (count + 1) if weight.is_floating_point() else weight
        for name, weight in mean.items()
    }
