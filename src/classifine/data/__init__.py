"""Texts in: reading, checking, splitting and encoding labelled texts."""
