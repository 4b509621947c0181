"""`classifine` on the command line, with the seconds that some parts of it take.

    python benchmarks/timed.py FILE train DATA ...

Writes to FILE, as JSON, the seconds of the whole command and of each part: what is there so that a result can be trusted
(ADDED), and what else is done beside training (BESIDE).
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from results import origin

# Where each part is called from, and by which name.
ADDED = {
    "calibration and doubt": ("classifine.train.fit", "decided"),
    "intervals": ("classifine.report.evaluate", "intervals"),
    "scores without calibration": ("classifine.report.evaluate", "_uncalibrated"),
    "parts of the rows": ("classifine.report.evaluate", "slices"),
    "card": ("classifine.run", "write_card"),
    "report": ("classifine.run", "report_page"),
}
BESIDE = {
    "baselines": ("classifine.run", "baselines"),
    "explanations": ("classifine.run", "explained_errors"),
}


def main() -> None:
    place, sys.argv[1:] = Path(sys.argv[1]), sys.argv[2:]
    ran = origin()  # the code may change while it goes on
    start, seconds = time.perf_counter(), dict.fromkeys((*ADDED, *BESIDE), 0.0)

    def watched(part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            since = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                seconds[part] += time.perf_counter() - since

        return run

    for part, (module, name) in (ADDED | BESIDE).items():
        home = importlib.import_module(module)
        setattr(home, name, watched(part, getattr(home, name)))
    from classifine.cli import main as classifine

    try:
        classifine()
    except SystemExit as stop:
        if stop.code:
            raise
    took = {"wall_seconds": time.perf_counter() - start, "parts": seconds, "origin": ran}
    place.write_text(json.dumps(took), encoding="utf-8")


if __name__ == "__main__":
    main()
