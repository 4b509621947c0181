"""A report as one page of HTML that opens offline: its style, scripts and numbers are inside, and it asks for nothing.

Whatever the folder holds may be a stranger's: all of it is escaped, and the page forbids every script but its own. It
knows how the page is put together, and nothing about what it says.
"""

import base64
import functools
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from classifine import __version__
from classifine.infer.explain import Explanation
from classifine.report.explained import marked_html
from classifine.report.page.blocks import Section
from classifine.report.page.kept import Kept, read_kept
from classifine.report.page.sections import lead_of, sections_of

PAGE = "report.html"
STATIC = Path(__file__).with_name("static")
# In this order; each but our own with its licence.
SCRIPTS = (
    ("d3.min.js", "d3.LICENSE"),
    ("plot.umd.min.js", "plot.LICENSE"),
    ("sortable.min.js", "sortable.LICENSE"),
    ("report.js", None),
)
# Code in a sentence, as Markdown has it: between rows of backticks that are equally long.
CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)


@dataclass(frozen=True)
class Script:
    """A script as it stands in the page, with its licence and the hash by which the page allows it."""

    name: str
    text: Markup
    licence: Markup
    digest: str


def report_page(folder: Path) -> str:
    """The page of what a saved folder keeps, the same for the same folder; ModelError where that is damaged."""
    return page(read_kept(folder))


def page(kept: Kept) -> str:
    """The page of a run."""
    verdict = kept.evaluation.verdict if kept.evaluation else ""
    return rendered(
        kept.record.name, "report", lead_of(kept), verdict, sections_of(kept), "the files of the saved folder"
    )


def rendered(title: str, what: str, lead: str, verdict: str, sections: Sequence[Section], source: str) -> str:
    """A page of these sections, which tells `what` it is and of which `source` it was made."""
    scripts = _scripts()
    style = (STATIC / "report.css").read_text(encoding="utf-8")
    made: str = _template().render(
        title=title, what=what, lead=lead, verdict=verdict, sections=sections, source=source,
        scripts=scripts, style=Markup(style), policy=_policy(scripts), version=__version__,
    )  # fmt: skip
    return made


def _policy(scripts: Sequence[Script]) -> str:
    """What the page may do: run its own scripts and style itself; no request, no form, no other script."""
    own = " ".join(f"'sha256-{script.digest}'" for script in scripts)
    # The charts' library writes style elements of its own.
    return f"default-src 'none'; script-src {own}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@functools.cache
def _scripts() -> tuple[Script, ...]:
    found = []
    for name, licence in SCRIPTS:
        text = (STATIC / name).read_bytes().decode("utf-8")
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
        told = (STATIC / licence).read_text(encoding="utf-8").strip() if licence else ""
        found.append(Script(name, Markup(text), Markup(told), digest))
    return tuple(found)


@functools.cache
def _template() -> Any:
    rooms = Environment(loader=FileSystemLoader(STATIC), autoescape=True, trim_blocks=False)
    rooms.filters["embedded"] = _embedded
    rooms.filters["marked"] = _marked
    rooms.filters["typed"] = _typed
    return rooms.get_template("report.html.jinja")


def _embedded(data: Any) -> Markup:
    """Data as JSON inside a script element, which nothing in it can close."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _typed(text: str) -> Markup:
    """A sentence with what is to be typed, between backticks, as code."""
    shown, last = Markup(""), 0
    for found in CODE.finditer(text):
        # A blank on each side parts a backtick of its own from the fence.
        code = found[2][1:-1] if re.match(" .*` $| `.* $", found[2], re.DOTALL) else found[2]
        shown += text[last : found.start()]  # escaped, as is all that is no Markup
        shown += Markup("<code>{}</code>").format(code)
        last = found.end()
    return shown + text[last:]


def _marked(one: Explanation, part: int) -> Markup:
    return Markup(marked_html(one, part))  # escaped there, word by word
