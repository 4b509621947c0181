"""classifine: from labelled texts to a text classifier that can be trusted and published."""

from typing import TYPE_CHECKING, Any

__all__ = ["ClassifineError", "TextClassifier", "__version__"]
__version__ = "0.1.0"

if TYPE_CHECKING:
    from classifine.classifier import TextClassifier
    from classifine.errors import ClassifineError


def __getattr__(name: str) -> Any:
    # Loaded when asked for: `import classifine` alone costs nothing.
    if name == "TextClassifier":
        from classifine.classifier import TextClassifier

        return TextClassifier
    if name == "ClassifineError":
        from classifine.errors import ClassifineError

        return ClassifineError
    raise AttributeError(f"module 'classifine' has no attribute '{name}'")
