"""Write the pages that are made from the code: settings.md from config.py, help.md from the command line."""

import subprocess
import sys
from pathlib import Path

import classifine
from classifine.cli import app
from classifine.settings import reference

HERE = Path(__file__).parent
PACKAGES = Path(classifine.__file__).parents[1]


def commands() -> list[str]:
    """Every command of the command line, in its order."""
    return [found.name or str(found.callback.__name__) for found in app.registered_commands if found.callback]


def help_page() -> str:
    """Every command's --help, as a terminal of 80 columns shows it."""
    parts = ["# The commands\n\nMade from the command line by `make docs`.\n"]
    for words in ([], *([command] for command in commands())):
        call = [sys.executable, "-m", "classifine", *words, "--help"]
        # Of this very package, also where another one is installed.
        environment = {"COLUMNS": "80", "PATH": "", "NO_COLOR": "1", "TERM": "dumb", "PYTHONPATH": str(PACKAGES)}
        shown = subprocess.run(call, capture_output=True, text=True, check=True, env=environment).stdout
        shown = "\n".join(line.rstrip() for line in shown.strip().splitlines())
        shown = shown.replace("python -m classifine", "classifine")
        parts.append(f"## classifine {' '.join(words)}".rstrip() + f"\n\n```text\n{shown}\n```\n")
    return "\n".join(parts)


def main() -> None:
    """Write both pages."""
    (HERE / "settings.md").write_text(reference(), encoding="utf-8")
    (HERE / "help.md").write_text(help_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
