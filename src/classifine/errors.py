"""The mistakes that classifine answers with a sentence instead of a traceback.

    ClassifineError
      ConfigError      a setting: unknown, of the wrong type, out of bounds
      DataError        the labelled texts: not found, not readable, nothing to learn from
        NoRowsError    a file of them without a row
      ModelError       a base model or a saved classifier: not found, damaged, not one of ours
      TrainingError    fitting that diverged
      OutputError      a place to write to: exists already, cannot be written
      HubError         the Hub: not reached, not logged in, not allowed
      TrackingError    a tracker: not installed, not started

Each message has three parts: what was found, what was expected, what to do. The command line catches this tree in
one place and exits with 1; any other exception is a bug of ours and keeps its traceback.
"""

from collections.abc import Iterable


class ClassifineError(Exception):
    """Base of all errors that a user can mend. The message is one sentence or a short list of them."""


class ConfigError(ClassifineError):
    """A setting is unknown, of the wrong type or out of its bounds."""


class DataError(ClassifineError):
    """The data cannot be read, or nothing can be learned from it."""

    @classmethod
    def of(cls, problems: Iterable[str]) -> "DataError":
        """One error that lists every problem, so that nobody mends them one run at a time."""
        return cls("\n".join(problems))


class NoRowsError(DataError):
    """A file that can be read has nothing in it."""


class ModelError(ClassifineError):
    """A base model or a saved classifier cannot be found or does not hold what its name promises."""


class TrainingError(ClassifineError):
    """Fitting ran, but what came out of it is no classifier."""


class OutputError(ClassifineError):
    """The result cannot be written where it was asked for."""


class HubError(ClassifineError):
    """The Hub cannot be reached, or does not let us do what was asked."""


class TrackingError(ClassifineError):
    """A tracker is not installed or does not start."""
