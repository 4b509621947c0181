"""What a section says where the folder lacks a file that it needs.

It does not know which sections there are.
"""

from classifine.report.page.blocks import Note

AGAIN = "Train the classifier again to have it."


def lacks(file: str, what: str) -> Note:
    """What is said of a file that is not there."""
    return Note(f"This folder has no {file}, so {what} is not known. {AGAIN}")
