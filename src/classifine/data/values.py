"""What values say, of cells or of Python: a number, or yes or no in a column of 0 and 1; and what a mark in numbers means.

It knows nothing about what a column is for.
"""

import re
from collections.abc import Sequence
from typing import Any

from classifine.errors import DataError
from classifine.labels import is_missing

YES, NO = ("1", "1.0", "true"), ("0", "0.0", "false")  # in a column of 0 and 1, in lower case
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:(?:,\d{3})+|(?:\.\d{3})+)")  # 1,250 or 1.250.000


def number_of(value: Any) -> float | None:
    """The number that a value is, also with a decimal comma as spreadsheets write it; None where it is none."""
    try:
        return float(value.replace(",", ".") if isinstance(value, str) and value.count(",") == 1 else value)
    except (ValueError, TypeError):
        return None


def check_thousands(values: Sequence[Any], column: str, source: str) -> None:
    """DataError where a mark in the numbers of a column parts thousands, as in 1,250 beside 950: it is read as that of a
    decimal number.

    It does where each marked number has three digits behind it, and the others are whole and of hundreds; or some of
    them, if a marked one ends in 0, which nobody writes behind a decimal mark and leaves out behind others.
    """
    grouped = [value.strip() for value in values if isinstance(value, str) and _GROUPED.fullmatch(value.strip())]
    if not grouped:
        return
    known = set(grouped)
    others = [number_of(value) for value in values if not isinstance(value, str) or value.strip() not in known]
    if not all(number is not None and number.is_integer() for number in others):
        return
    large = [abs(number) >= 100 for number in others if number]
    zero = any(number.endswith("0") for number in grouped)
    twice = next((number for number in grouped if len(re.findall("[,.]", number)) > 1), None)
    if twice or (large and (all(large) or (any(large) and zero))):
        one = twice or grouped[0]
        decimal = "" if twice else f" ({one.replace(',', '.')}0 if it is a decimal number)"
        codes = " or --task multi" if "," in one else ""
        raise DataError(
            f"{source} has {one!r} in '{column}', where a mark seems to part thousands; expected numbers without thousands "
            f"separators. Write {re.sub('[,.]', '', one)}{decimal}{codes}."
        )


def is_flag(value: Any) -> bool:
    """Whether a value can stand in a column of 0 and 1; an empty cell can, and says no."""
    return is_one(value) or is_missing(value) or flag_of(value) in ("", *NO)


def is_one(value: Any) -> bool:
    """Whether a column of 0 and 1 says yes."""
    return flag_of(value) in YES


def flag_of(value: Any) -> str:
    """A value as `YES` and `NO` have it."""
    # Excel, R and Google Sheets write TRUE, Python True and JSON true.
    return str(value).strip().lower()
