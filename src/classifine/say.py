"""How the steps tell people what they find and do: a function that takes one line. Who prints it, and where, is the face's."""

from collections.abc import Callable

Say = Callable[[str], None]
