"""Fitting networks; the only place that uses the Trainer of transformers."""

import contextlib
import sys

# Under WANDB_MODE=offline transformers prints a line when this is first imported; standard output carries data only.
with contextlib.redirect_stdout(sys.stderr):
    import transformers.integrations.integration_utils  # noqa: F401
