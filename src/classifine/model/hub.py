"""What can go wrong with the Hub, each in one sentence, and the token that it knows us by.

The real client does the talking; this file knows nothing about networks or cards.
"""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from classifine.errors import HubError, ModelError

# What a name on the Hub is made of; the client checks the finer points.
_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
# The client's errors are of three libraries: its own, its HTTP library's (two names over time) and the system's.
_CLIENTS = ("huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2", "requests")
FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]  # that a network and its tokenizer consist of
LOGIN = "Log in with `classifine login`, or set HF_TOKEN."


def check_name(name: str, flag: str) -> None:
    """HubError where `name`, given by `flag`, cannot be the name of somebody's repository."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
        fits = _NAME.fullmatch(name) is not None
    except HFValidationError:
        fits = False
    if not fits:
        raise HubError(f"{flag} is '{name}'; expected OWNER/NAME, such as maria/tickets. Change it.")


def require_token() -> str:
    """The token of whoever is logged in; HubError where nobody is."""
    from huggingface_hub import get_token

    token = get_token()
    if not token:
        raise HubError(f"There is no token for the Hub on this machine, and publishing needs one. {LOGIN}")
    return token


def is_of_the_hub(error: BaseException) -> bool:
    """Whether an exception came out of talking to the Hub, rather than out of a mistake of ours."""
    module = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or module in _CLIENTS


def reason(error: BaseException) -> str:
    """The first line of what an exception says, for people."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def located(model: Path) -> Path:
    """The folder of a classifier: `model` itself, or what the Hub (or its cache) has under OWNER/NAME.

    Raises ModelError where it is neither. A name below a folder that is here, or below `runs`, where `train` writes, is
    taken for a path that is mistyped: nobody's folder names go to the Hub, and no stranger's classifier comes from it.
    """
    name = model.as_posix()
    local = model.exists() or model.is_absolute() or model.parent.exists() or name.startswith("runs/")
    if local or not _NAME.fullmatch(name):
        return model
    from huggingface_hub import snapshot_download

    try:
        with _bars_on_a_terminal():
            return Path(snapshot_download(name, allow_patterns=FILES))
    except Exception as error:
        if not is_of_the_hub(error):
            raise
        raise ModelError(
            f"No such classifier: {name} is no folder here, and the Hub did not give it ({reason(error)}). Check the name."
        ) from error


@contextlib.contextmanager
def talking(repository: str, again: str) -> Iterator[None]:
    """Turn what the client raises about `repository` into a HubError; `again` says how to try once more.

    Meanwhile the client's progress bars show on a terminal only: elsewhere they would break our lines.
    """
    try:
        with _bars_on_a_terminal():
            yield
    except Exception as error:  # of several libraries
        # The client raises some failures again, an upload's as a plain RuntimeError; the answer itself lies beneath.
        below: BaseException = error
        while below.__cause__ is not None and getattr(below, "response", None) is None:
            below = below.__cause__
        if not is_of_the_hub(below) and not isinstance(below, ValueError):
            raise
        raise HubError(_sentence(below, repository, again)) from error


def _status_in_words(error: BaseException) -> int | None:
    """The status that the compiled part of the client, which uploads large files, only writes into its message."""
    found = re.search(r"\b([45]\d\d) [A-Z][a-z]+", str(error))
    return int(found[1]) if found else None


@contextlib.contextmanager
def _bars_on_a_terminal() -> Iterator[None]:
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _sentence(error: BaseException, repository: str, again: str) -> str:
    from huggingface_hub import constants

    status = getattr(getattr(error, "response", None), "status_code", None) or _status_in_words(error)
    told = getattr(error, "server_message", None)
    said = f": {told.strip().rstrip('.')}" if told else ""
    owner = repository.partition("/")[0]
    known = {
        401: f"The Hub did not accept the token{said} (401). {LOGIN}",
        403: f"The Hub does not let this token write to {repository}{said} (403). Use a token with the right to write, "
        f"of a member of {owner}.",
        404: f"The Hub has no {repository}, or this token may not see it{said} (404). Check the name.",
        409: f"{repository} was changed by somebody else meanwhile{said} (409). To try again: {again}",
        412: f"{repository} was changed by somebody else meanwhile{said} (412). To try again: {again}",
        429: f"The Hub asks to slow down{said} (429). Wait some minutes, then: {again}",
    }
    if status in known:
        return known[status]
    if status is not None and status >= 500:
        return f"The Hub failed{said} ({status}). Later, try again: {again}"
    if status is not None:
        return f"The Hub refused {repository}{said} ({status}). Mend that, then: {again}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be read or written: {error.strerror}. Mend that, then: {again}"
    if isinstance(error, ValueError):
        return f"The Hub refused {repository}: {reason(error)} Mend that, then: {again}"
    return f"{constants.ENDPOINT} did not answer ({reason(error)}). Check the network, then: {again}"
