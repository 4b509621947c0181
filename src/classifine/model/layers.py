"""The layout of sentence-transformers, as far as our two kinds of classifiers that it loads have it in common.

A list of modules, a folder for each that keeps something, and the linear layer in the end that gives the logits;
safetensors and JSON only. It knows nothing about networks, and loads neither torch nor transformers.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MODULES = "modules.json"  # what a folder in this layout has
POOLING = "1_Pooling"
# (folder, kind) of each module, in the names that all releases of sentence-transformers know.
POOLED = (("", "Transformer"), (POOLING, "Pooling"), ("2_Normalize", "Normalize"), ("3_Dense", "Dense"))
STATIC = (("", "StaticEmbedding"), ("1_Dense", "Dense"))
POOLED_HEAD, STATIC_HEAD = POOLED[-1][0], STATIC[-1][0]
# The folders that the kinds of saved classifiers keep beside their files; a normalisation keeps nothing.
LAYERS = {"transformer": (), "pooled": (POOLING, POOLED_HEAD), "static": (STATIC_HEAD,)}
HEAD_WEIGHTS = "model.safetensors"  # in the folder of the linear layer


def write_layers(place: Path, modules: Sequence[tuple[str, str]], weight: Any, bias: Any) -> None:
    """Write the list of modules and the linear layer, which is the last of them: numpy arrays `weight` (labels, width)
    and `bias` (labels,).
    """
    from safetensors.numpy import save_file

    write_plain(place / MODULES, [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(modules)
    ])  # fmt: skip
    head, (count, width) = place / modules[-1][0], weight.shape
    write_plain(head / "config.json", {
        "in_features": width, "out_features": count, "bias": True,
        "activation_function": "torch.nn.modules.linear.Identity",
    })  # fmt: skip
    save_file({"linear.weight": weight, "linear.bias": bias}, head / HEAD_WEIGHTS)


def write_plain(path: Path, content: Any) -> None:
    """Write JSON, in a folder that may not be there yet."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
