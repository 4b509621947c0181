"""A run told to TensorBoard, Weights & Biases, MLflow or Trackio, through transformers' own integrations.

Nothing is told unless asked for. The integrations end a run when training ends; here its end waits for the metrics
on test rows. A tracker that fails on the way is left out, and training goes on.
"""

import contextlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transformers import TrainerCallback

from classifine.errors import TrackingError
from classifine.model.hub import reason
from classifine.say import Say

# Where each keeps a run unless it is told otherwise, and what shows it; the variables are those of the packages.
KEPT = {
    "tensorboard": "./tensorboard (TENSORBOARD_LOGGING_DIR); tensorboard --logdir tensorboard",
    "wandb": "its server, or ./wandb with WANDB_MODE=offline (WANDB_PROJECT, WANDB_DIR)",
    "mlflow": "MLFLOW_TRACKING_URI, or mlflow's default place; mlflow ui",
    "trackio": "TRACKIO_DIR, or the cache of the Hub's client; trackio show",
}
PROJECT = "classifine"
_LONGEST = 250  # letters of a fact; a longer one is too long for MLflow


def check_trackers(names: Sequence[str]) -> None:
    """TrackingError that names every tracker whose package is missing."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise TrackingError(
            f"--track {','.join(missing)} needs {'a package' if len(missing) == 1 else 'packages'} that this "
            f"environment lacks. Install: pip install 'classifine[{','.join(missing)}]'"
        )


class Tracking(TrainerCallback):
    """A callback that hands on what happens to the integrations of the trackers `names`, for a run called `run_name`.

    Use it as a context: whatever ends the run, the trackers are told of its end.
    """

    def __init__(self, names: Sequence[str], run_name: str, say: Say) -> None:
        check_trackers(names)
        self._names = tuple(names)
        self._run_name, self._part = run_name, ""
        self._say = say
        self._facts: dict[str, Any] = {}
        self._open: dict[str, Any] = {}
        self._stage: tuple[Any, Any, Any] | None = None
        self._wandb: Any = None

    def __enter__(self) -> "Tracking":
        return self

    def __exit__(self, *error: object) -> None:
        self._end(failed=error[0] is not None)

    def describe(self, facts: Mapping[str, Mapping[str, Any]]) -> None:
        """Set what is told of the run beside transformers' own arguments: `{"data": {"source": ...}}` and so on."""
        flat = {f"{part}.{name}": value for part, values in facts.items() for name, value in values.items()}
        told = {name: value if isinstance(value, (bool, int, float)) else str(value) for name, value in flat.items()}
        self._facts = {name: value for name, value in told.items() if len(str(value)) <= _LONGEST}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the trackers; TrackingError where one does not start, before the first step.

        Training that starts anew, with other parts of a batch or another rate, starts runs of its own.
        """
        if self._open:
            self._end()
        from transformers.integrations import get_reporting_integration_callbacks

        run_name = self._run_name + self._part
        described = _Described(args, self._facts, run_name)
        self._stage = (described, state, control)
        for name in self._names:
            try:
                with _apart():
                    (kind,) = get_reporting_integration_callbacks([name])
                    integration = kind()
                    if name == "tensorboard" and integration.logging_dir is None:
                        stamp = time.strftime("%Y%m%d-%H%M%S")
                        integration.logging_dir = os.path.join("tensorboard", f"{run_name}-{stamp}")
                    if name == "wandb":
                        import wandb

                        # A run that its user began, such as one of a sweep, is theirs to end.
                        self._wandb = wandb if wandb.run is None else None
                    integration.on_train_begin(described, state, control, **kwargs)
            except Exception as error:  # each package has errors of its own
                raise TrackingError(
                    f"--track {name} did not start: {reason(error)} Set {name} up, or leave it out."
                ) from error
            self._open[name] = integration
            self._say(f"track   {name}: {KEPT[name]}")

    def name_part(self, name: str) -> None:
        """The next run is one of several, such as that of a seed."""
        self._part = f"-{name}"

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Hand a loss or an epoch's metrics on."""
        self._tell("on_log", logs=dict(logs or {}), **kwargs)

    def finish(self, metrics: Mapping[str, float]) -> None:
        """Tell the metrics on test rows, and end the runs."""
        self._tell("on_log", logs={f"test_{name}": value for name, value in metrics.items()})
        self._end()

    def _tell(self, event: str, **kwargs: Any) -> None:
        assert not self._open or self._stage is not None
        for name, integration in list(self._open.items()):
            with self._left_out(name):
                getattr(integration, event)(*(self._stage or ()), **kwargs)

    @contextlib.contextmanager
    def _left_out(self, name: str) -> Iterator[None]:
        """Leave a tracker out that fails: hours of training must not end for it."""
        try:
            with _apart():
                yield
        except Exception as error:  # each package has errors of its own
            self._open.pop(name, None)
            self._say(f"warning {name} failed and is left out: {type(error).__name__}: {error}")

    def _end(self, failed: bool = False) -> None:
        if failed and "mlflow" in self._open:
            with self._left_out("mlflow"):
                import mlflow

                # Before its integration does, which knows one end only.
                mlflow.end_run("FAILED")
        self._tell("on_train_end")
        self._open = {}
        if self._wandb is not None:
            # Its integration leaves the run open until the process ends; a second run would be written into it.
            with self._left_out("wandb"):
                self._wandb.finish(exit_code=int(failed))
            self._wandb = None


class _Described:
    """Transformers' arguments as the integrations read them, with our facts among the settings of the run."""

    def __init__(self, args: Any, facts: Mapping[str, Any], run_name: str) -> None:
        self._args = args
        self._facts = facts
        self.run_name = run_name
        self.project = PROJECT

    def __getattr__(self, name: str) -> Any:
        return getattr(self._args, name)

    def to_dict(self) -> dict[str, Any]:
        """All settings as plain values."""
        return {**self._args.to_dict(), "run_name": self.run_name, **self._facts}

    def to_json_string(self) -> str:
        """All settings as JSON."""
        return json.dumps(self.to_dict(), indent=2, default=str)


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """What trackers print goes to standard error: standard output carries data only."""
    with contextlib.redirect_stdout(sys.stderr):
        yield
