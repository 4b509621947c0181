"""The trials of a search in a file of SQLite, and what draws the next one: Optuna, asked and told.

What it draws depends on the trials that are there and on the seed alone, so a search that was stopped goes on as if it
had not been. Optuna itself asks nothing of the network. It knows nothing about how a trial is made.
"""

import contextlib
import importlib.util
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from classifine.errors import ConfigError, OutputError
from classifine.train.search import Among, Between, Space, State, Trial

NAME = "classifine"
QUARTERS = 4  # of its epochs, at the end of which a trial is held against the others
# Trials that are complete before others are held against them, and that are drawn at random before any are by what was found.
UNPRUNED, RANDOM = 5, 10
IMPORTANT_FROM = 6  # complete trials; fewer say nothing about which settings matter


class Pruned(Exception):  # noqa: N818 - no error: how a trial ends that is not worth its time
    """A trial was ended before its last epoch, for this reason."""


def check_tuning() -> None:
    """ConfigError where the package that draws trials is missing."""
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError("`classifine tune` needs optuna: pip install 'classifine[tune]'.")


class Study:
    """The search kept in `file`, of the points of `space`; `job` is all that must stay the same for it to go on.

    OutputError where the file holds another search or cannot be read. A trial that was not told of its end is made again.
    """

    def __init__(self, file: Path, space: Space, job: dict[str, Any], lower_is_better: bool, seed: int) -> None:
        import optuna

        optuna.logging.disable_default_handler()
        self._space, self._seed = space, seed
        self._storage, self._study = _opened(file, "minimize" if lower_is_better else "maximize")
        try:
            self._know(file, job)
            for one in self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
                self._forget(one.number)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Study":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def trials(self) -> list[Trial]:
        """Every trial that has ended, in order; those that were interrupted are left out."""
        import optuna

        ended = [one for one in self._study.get_trials(deepcopy=False) if one.state.is_finished()]
        lost = {name for name in self._study.user_attrs if name.startswith("interrupted-")}
        counted = [one for one in ended if f"interrupted-{one.number}" not in lost]
        names: dict[Any, State] = {
            optuna.trial.TrialState.COMPLETE: "complete", optuna.trial.TrialState.PRUNED: "pruned",
            optuna.trial.TrialState.FAIL: "failed",
        }  # fmt: skip
        return [self._trial(number, names[one.state], one) for number, one in enumerate(counted)]

    def _trial(self, number: int, state: State, one: Any) -> Trial:
        told = dict(one.user_attrs["told"])
        epochs = tuple(told.pop("epochs"))
        return Trial(number, state, dict(one.params), self._space.settings(one.params), epochs=epochs, **told)

    def ask(self) -> "Asked":
        """The next point to try: the default first."""
        import optuna

        done = len(self.trials())
        if not done and not self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,)):
            self._study.enqueue_trial(self._space.default)
        # Of its own for each trial: one for all, begun anew, would draw the first ones again.
        own = int(np.random.SeedSequence([self._seed, done]).generate_state(1)[0])
        self._study.sampler = optuna.samplers.TPESampler(n_startup_trials=RANDOM, seed=own)
        space = _distributions(self._space)
        drawn = self._study.ask(space)
        left = self._untried()
        if left is not None and drawn.params not in left:
            # The same again would tell nothing.
            self._forget(drawn.number)
            self._study.enqueue_trial(left[own % len(left)])
            drawn = self._study.ask(space)
        return Asked(drawn, done, self._study)

    @property
    def exhausted(self) -> bool:
        """Whether every point of a space that has so few was tried."""
        return self._untried() == []

    def _untried(self) -> list[dict[str, Any]] | None:
        """The points that no trial was made at; None where there are too many to tell."""
        bounds = self._space.drawn
        if not all(isinstance(one, Among) for one in bounds.values()):
            return None
        values = [one.values for one in bounds.values() if isinstance(one, Among)]
        tried = [one.point for one in self.trials()]
        points = (dict(zip(bounds, chosen, strict=True)) for chosen in itertools.product(*values))
        return [point for point in points if point not in tried]

    def _forget(self, number: int) -> None:
        """Let a trial that has no end count for nothing."""
        import optuna

        self._study.set_user_attr(f"interrupted-{number}", True)
        self._study.tell(number, state=optuna.trial.TrialState.FAIL)

    def importances(self) -> dict[str, float]:
        """How much of what trials differ by is due to each setting alone or with others, in all 1; {} of too few trials.

        By functional analysis of variance (Hutter et al. 2014, "An Efficient Approach for Assessing Hyperparameter
        Importance"), over the trials that were not pruned.
        """
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        values = [one.value for one in self.trials() if one.state == "complete"]
        if len(values) < IMPORTANT_FROM or len(set(values)) < 2:
            return {}
        found = get_param_importances(self._study, evaluator=FanovaImportanceEvaluator(seed=self._seed))
        return {name: float(value) for name, value in found.items()}

    def _know(self, file: Path, job: dict[str, Any]) -> None:
        known = self._study.user_attrs.get("job")
        own = json.loads(json.dumps(job))
        if known is None:
            self._study.set_user_attr("job", own)
        elif known != own:
            parts = ", ".join(sorted(name for name in own.keys() | known.keys() if own.get(name) != known.get(name)))
            raise OutputError(
                f"{file.parent} holds another search, which differs in: {parts}. Give the same command as before to go on "
                "with it, begin anew with --overwrite, or change -o."
            )


class Asked:
    """A trial that is being made: told of its epochs and, once, of its end."""

    def __init__(self, trial: Any, number: int, study: Any) -> None:
        self.number = number
        self.point: dict[str, Any] = dict(trial.params)
        self._trial, self._study = trial, study
        self._quarter = 0

    def falls_behind(self, share: float, reached: float) -> bool:
        """Whether so far, at this share of its epochs, the trial is worse than half of the others were; `reached` is its metric.

        By quarters of the run rather than epochs: the rate of one that will be long is still high where a short one ends.
        """
        quarter = math.floor(QUARTERS * share + 1e-6)
        if quarter <= self._quarter:
            return False
        self._quarter = quarter
        self._trial.report(reached, quarter)
        return bool(self.number and share < 1 and self._trial.should_prune())

    def ends(
        self,
        state: State,
        value: float | None,
        epochs: Sequence[dict[str, float]],
        loss: float | None,
        seconds: float,
        error: str | None = None,
    ) -> None:
        """Keep how the trial ended."""
        from optuna.trial import TrialState

        told = {"value": value, "loss": loss, "epochs": list(epochs), "seconds": round(seconds, 1), "error": error}
        self._trial.set_user_attr("told", told)
        if state == "complete":
            self._study.tell(self._trial, value)
        else:
            self._study.tell(self._trial, state=TrialState.PRUNED if state == "pruned" else TrialState.FAIL)


def _opened(file: Path, direction: Literal["minimize", "maximize"]) -> tuple[Any, Any]:
    """(storage, study) of a file; OutputError where it is no study of ours."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    storage = None
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{file.absolute()}")
        study = optuna.create_study(
            storage=storage, study_name=NAME, direction=direction, load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED),
        )  # fmt: skip
    except (SQLAlchemyError, RuntimeError, optuna.exceptions.OptunaError) as error:
        if storage is not None:
            with contextlib.suppress(Exception):
                storage.engine.dispose()
        cause = str(error).splitlines()[0]
        raise OutputError(f"{file} cannot be read ({cause}). Begin anew with --overwrite, or change -o.") from error
    return storage, study


def _distributions(space: Space) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    def one(bounds: Between | Among) -> Any:
        if isinstance(bounds, Among):
            return CategoricalDistribution(bounds.values)
        if bounds.whole:
            return IntDistribution(int(bounds.low), int(bounds.high), log=True)
        return FloatDistribution(bounds.low, bounds.high)

    return {name: one(bounds) for name, bounds in space.drawn.items()}
