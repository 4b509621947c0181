"""Which engine runs a saved classifier: the fastest that is exported and installed here, or the one that is asked for."""

import importlib.util
import sys
from pathlib import Path

from classifine.errors import ConfigError
from classifine.infer.engine import Engine
from classifine.infer.exported_engine import open_exported
from classifine.infer.static import open_static
from classifine.infer.torch_engine import TorchEngine
from classifine.model.export import FILES, PACKAGES, exported
from classifine.model.folder import Saved
from classifine.model.folder import kind as kind_of
from classifine.model.network import fastest_device

# Where a classifier was exported this is the order in which engines are tried, the fastest first; benchmarks/inference.py
# measures them.
FASTEST = (
    ("openvino", "int8"),
    ("onnx", "int8"),
    ("openvino", "float32"),
    ("onnx", "float32"),
    ("torch", "float32"),
)


def open_engine(saved: Saved, engine: str = "auto", precision: str = "auto") -> Engine:
    """The engine that runs a saved classifier: the fastest that is exported and installed, or the one that is asked for.

    `precision` "auto" is int8 where it was exported, since that was asked for and measured then, else float32.
    Raises ConfigError where what is asked for is not exported, not installed or does not exist.
    """
    if saved.folder is not None and kind_of(saved.folder) == "static":
        if engine not in ("auto", "torch") or precision not in ("auto", "float32"):
            raise ConfigError(
                f"{saved.folder} is a static classifier, which runs in float32 by itself. Drop --engine and --precision."
            )
        return TorchEngine(saved.network) if engine == "torch" else open_static(saved.folder)
    fitting = [
        (name, kind)
        for name, kind in FASTEST
        if engine in ("auto", name) and precision in ("auto", kind, *_coarser(name, kind))
    ]
    if not fitting:
        others = " or ".join(
            dict.fromkeys(name for name, kind in FASTEST if precision in (kind, *_coarser(name, kind)))
        )
        raise ConfigError(f"--precision is {precision}, which {engine} does not run here. Choose --engine {others}.")
    # A GPU is torch's; where the number format rules torch out it has no say.
    with_torch = any(name == "torch" for name, _ in fitting)
    for name, kind in fitting:
        run_in = "bf16" if precision == "bf16" else kind
        if name == "torch":
            return TorchEngine(saved.network, run_in)
        path = exported(saved.folder, name, kind)
        if path is not None and _installed(name) and not (with_torch and _on_gpu(engine)):
            return open_exported(path, run_in, len(saved.labels))
    raise ConfigError(_not_there(saved, *fitting[0], precision == "auto"))


def _coarser(name: str, kind: str) -> tuple[str, ...]:
    """What else the float32 network can be run in: bfloat16, by engines that have it."""
    return ("bf16",) if kind == "float32" and name != "onnx" else ()


def _on_gpu(engine: str) -> bool:
    """Whether a GPU makes the choice: exported networks are for processors."""
    # To ask torch takes seconds, which a machine without NVIDIA's driver can save.
    without = sys.platform == "linux" and not Path("/dev/nvidiactl").exists()
    return engine == "auto" and not without and fastest_device() == "cuda"


def _installed(name: str) -> bool:
    return importlib.util.find_spec(PACKAGES[name][0]) is not None


def _not_there(saved: Saved, name: str, kind: str, any_kind: bool) -> str:
    if not _installed(name):
        return f"{name} is not installed: pip install 'classifine[{name}]'. Or choose --engine torch."
    asked = name if any_kind else f"{name} in {kind}"
    there = [f"{other} {form}" for other in FILES for form in FILES[other] if exported(saved.folder, other, form)]
    flag = " --int8" if kind == "int8" and not any_kind else ""
    return (
        f"{saved.folder} is not exported for {asked}; it has torch{''.join(f', {one}' for one in there)}. "
        f"Run `classifine export {saved.folder} --to {name}{flag}`, or choose another --engine or --precision."
    )
