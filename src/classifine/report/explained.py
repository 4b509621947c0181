"""Explanations for people: on a terminal in colour, and as a page of HTML.

It only shows what it is given. Colour is never alone: numbers stand in the tables, and the page underlines what speaks
for a label and dashes what speaks against it.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from html import escape
from typing import IO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from classifine.infer.explain import Explanation, Word

_BAR = 12  # characters of the longest bar
# The strength, of the strongest word, below which a word is not marked and from which it is bold.
_PALE, _STRONG = 0.15, 0.5
_BLUE, _RED = (37, 99, 235), (220, 38, 38)
# What is inside comes from here alone: a page with a stranger's text in it must not fetch or run anything.
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Why this label?</title>
<style>
:root { color-scheme: light dark; --for: 37 99 235; --against: 220 38 38; }
@media (prefers-color-scheme: dark) { :root { --for: 96 165 250; --against: 248 113 113; } }
body { font: 1rem/1.6 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 2; }
mark { color: inherit; border-radius: 0.2em; text-underline-offset: 0.25em; text-decoration: underline 2px; }
mark.for { background: rgb(var(--for) / calc(var(--strength) * 0.45)); text-decoration-color: rgb(var(--for)); }
mark.against { background: rgb(var(--against) / calc(var(--strength) * 0.45));
  text-decoration-color: rgb(var(--against)); text-decoration-style: dashed; }
mark.strong { font-weight: bold; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: 0.1rem 1rem 0.1rem 0; overflow-wrap: anywhere; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
</style>
</head>
<body>
<h1>Why this label?</h1>
"""


def show(explanations: Sequence[Explanation], file: IO[str], top_k: int) -> None:
    """Write the explanations to a terminal or file; in colour where that is a terminal which has it (NO_COLOR heeded)."""
    console = Console(file=file, highlight=False, soft_wrap=False)
    for number, one in enumerate(explanations):
        if number:
            console.print()
        console.print(Text(_plain(_headline(one)), style="bold"))
        for part in range(len(one.parts)):
            console.print(_marked(one, part))
        console.print(_table(one, top_k))
        for note in _notes(one):
            console.print(Text(note, style="dim"))


def page(explanations: Sequence[Explanation], top_k: int) -> str:
    """One page of HTML that needs nothing else: no script, no font, no network."""
    return _HEAD + "\n".join(_section(one, top_k) for one in explanations) + "\n</body>\n</html>\n"


def _headline(one: Explanation) -> str:
    return f"{one.label}  {one.score:.4f}"


def _notes(one: Explanation) -> Iterator[str]:
    """What one must know to read the numbers."""
    shared = ", less the mean of all labels' logits," if one.task == "single" else ""
    what = "number" if one.task == "score" else f"logit of '{one.label}'{shared}"
    if one.gap is None:
        yield f"A word adds what the {what} loses when the word is left out."
    else:
        together = sum(word.attribution for word in one.words)
        yield (
            f"Together the words move the {what} by {together:+.3f} from that of an empty text "
            f"(integrated gradients, {one.steps} steps, gap {one.gap:.4f})."
        )
    if one.task == "single":
        yield "The same words move the logits of the other labels; the label with the highest is chosen."
    if one.windows > 1:
        behind = sum(not word.read for word in one.words)
        known = (
            f"a word has the mean of its windows. The score is of the first; predict does not read {behind} other words."
            if behind
            else "a word has what it adds to their mean, which is what predict answers by."
        )
        yield f"The text is too long for the network and was read in {one.windows} windows that overlap: {known}"


def _largest(one: Explanation) -> float:
    return max((abs(word.attribution) for word in one.words), default=0.0) or 1.0


def _plain(text: str) -> str:
    """Text without characters that would steer a terminal."""
    return "".join("\ufffd" if unicodedata.category(one) == "Cc" and one not in "\n\t" else one for one in text)


def _pieces(one: Explanation, part: int) -> Iterator[tuple[str, Word | None]]:
    """The text of one part in its order: words, and None with what stands between them."""
    text, last = one.parts[part], 0
    for word in sorted((word for word in one.words if word.part == part), key=lambda word: word.start):
        yield text[last : word.start], None
        yield word.text, word
        last = word.end
    yield text[last:], None


def _marked(one: Explanation, part: int) -> Text:
    shown, largest = Text(), _largest(one)
    for text, word in _pieces(one, part):
        shown.append(_plain(text), _style(word.attribution / largest) if word else "")
    return shown


def _style(strength: float) -> str:
    """The darker the stronger, on any background: the letters are white."""
    if abs(strength) < _PALE:
        return ""
    red, green, blue = (round(one * (0.4 + 0.6 * abs(strength))) for one in (_BLUE if strength > 0 else _RED))
    return f"{'bold ' if abs(strength) >= _STRONG else ''}rgb(255,255,255) on rgb({red},{green},{blue})"


def _table(one: Explanation, top_k: int) -> Table:
    table, largest = Table(box=None, pad_edge=False), _largest(one)
    for column, side in (("word", "left"), ("adds", "right"), ("", "left")):
        table.add_column(column, justify=side, overflow="fold")  # type: ignore[arg-type]
    for word in one.strongest(top_k):
        bar = "█" * round(_BAR * abs(word.attribution) / largest) or "▏"
        side = "for" if word.attribution > 0 else "against"
        colour = "blue" if word.attribution > 0 else "red"
        table.add_row(Text(_plain(word.text)), f"{word.attribution:+.3f}", Text(f"{bar} {side}", style=colour))
    return table


def _section(one: Explanation, top_k: int) -> str:
    names = ("Text", "Second text")
    texts = [
        f'<div class="text" role="group" dir="auto" aria-label="{names[part]}">{marked_html(one, part)}</div>'
        for part in range(len(one.parts))
    ]
    rows = [
        f'<tr><th scope="row" dir="auto">{escape(word.text)}</th><td class="number">{word.attribution:+.3f}</td>'
        f"<td>{'for' if word.attribution > 0 else 'against'}</td></tr>"
        for word in one.strongest(top_k)
    ]
    return "\n".join(
        [
            f"<section>\n<h2>{escape(one.label)}: {one.score:.4f}</h2>",
            *texts,
            "<p>Blue and underlined speaks for the label, red and dashed against it; bold is strong.</p>",
            '<table>\n<caption>The strongest words</caption>\n<thead><tr><th scope="col">word</th>'
            '<th scope="col">adds to the logit</th><th scope="col">speaks</th></tr></thead>\n<tbody>',
            *rows,
            "</tbody>\n</table>",
            *(f"<p><small>{escape(note)}</small></p>" for note in _notes(one)),
            "</section>",
        ]
    )


def marked_html(one: Explanation, part: int) -> str:
    """One text of an explanation as HTML, its words marked by what they add; `.text mark` is to be styled as in `page`."""
    largest = _largest(one)
    return "".join(
        _mark(word, word.attribution / largest) if word else escape(text) for text, word in _pieces(one, part)
    )


def _mark(word: Word, strength: float) -> str:
    shown = escape(word.text)
    side = "for" if word.attribution > 0 else "against"
    title = f"{word.attribution:+.3f} {side}"
    if abs(strength) < _PALE:
        return f'<span title="{title}">{shown}</span>'
    strong = " strong" if abs(strength) >= _STRONG else ""
    return f'<mark class="{side}{strong}" style="--strength: {abs(strength):.2f}" title="{title}">{shown}</mark>'
