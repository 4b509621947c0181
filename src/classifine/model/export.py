"""A saved classifier as OpenVINO or ONNX files beside its weights, in float32 or with 8-bit whole numbers.

The names are those that others look for: optimum and sentence-transformers (`openvino/openvino_model.xml`),
transformers.js (`onnx/model.onnx`, `onnx/model_quantized.onnx`). It knows nothing about texts: token ids come in.
"""

import contextlib
import importlib
import importlib.util
import io
import logging
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from classifine.errors import ConfigError, ModelError
from classifine.model.disk import alone, workplace
from classifine.model.folder import RECORD
from classifine.model.hub import reason

Target = Literal["openvino", "onnx"]
# By target and number format: the file that a runtime opens.
FILES: dict[str, dict[str, str]] = {
    "openvino": {"float32": "openvino_model.xml", "int8": "openvino_model_qint8_quantized.xml"},
    "onnx": {"float32": "model.onnx", "int8": "model_quantized.onnx"},
}
# What runs it, what writes it in float32, and what writes it in int8.
PACKAGES: dict[str, tuple[str, ...]] = {
    "openvino": ("openvino", "openvino", "nncf"),
    "onnx": ("onnxruntime", "onnxscript", "onnxruntime"),
}
_SMALLEST, _LONGEST = 2, 9  # rows and tokens of the batch that shows the network's shape; neither stays fixed


def exported(folder: Path | None, target: str, precision: str) -> Path | None:
    """The file that a runtime opens, where a saved classifier was exported for it in this number format."""
    name = FILES.get(target, {}).get(precision)
    path = folder / target / name if folder is not None and name else None
    return path if path is not None and path.is_file() else None


def check_export(folder: Path, target: Target, int8: bool, overwrite: bool) -> None:
    """ConfigError where a package is missing, or the file is there already, before any work is done."""
    needed = PACKAGES[target] if int8 else PACKAGES[target][:2]
    missing = [name for name in dict.fromkeys(needed) if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"--to {target} needs {' and '.join(missing)}: pip install 'classifine[{target}]'.")
    there = exported(folder, target, "int8" if int8 else "float32")
    if there is not None and not overwrite:
        raise ConfigError(f"{there} exists already. Replace it with --overwrite.")


def export_float(network: Any, inputs: Sequence[str], target: Target, place: Path) -> Path:
    """Write a network (on the CPU) that takes the columns `inputs` into `place`; the file that a runtime opens.

    Rows and tokens of a batch stay free. Raises ModelError where the network cannot be traced.
    """
    path = place / FILES[target]["float32"]
    with _quiet(), _told(network):
        graph = _traced(network, inputs)
        if target == "openvino":
            openvino = unreported("openvino")
            openvino.save_model(openvino.convert_model(graph), path, compress_to_fp16=False)
        else:
            import torch

            program: Any = torch.onnx.export(graph, dynamo=True, verbose=False)
            program.save(path)
    return path


def quantise(float_file: Path, target: Target, batches: Sequence[dict[str, Any]]) -> Path:
    """Write the int8 form of a float32 file beside it, its ranges taken from `batches` of arrays of token ids.

    OpenVINO: 8-bit weights and activations by NNCF (SmoothQuant, Xiao 2023). ONNX: 8-bit weights, the ranges of
    activations taken row by row as they come, which needs no batches.
    """
    path = float_file.with_name(FILES[target]["int8"])
    with _quiet():
        if target == "openvino":
            openvino, nncf = unreported("openvino"), unreported("nncf")
            network = openvino.Core().read_model(float_file)
            found = nncf.quantize(
                network, nncf.Dataset(batches), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(batches)
            )
            openvino.save_model(found, path, compress_to_fp16=False)
        else:
            from onnxruntime.quantization import QuantType, quantize_dynamic

            quantize_dynamic(float_file, path, weight_type=QuantType.QInt8, per_channel=True)
    return path


def unreported(name: str) -> Any:
    """The module openvino or nncf, imported without the package by which they report their use to their makers.

    They send it over the network when they are imported, unasked, and do without it where it is not installed.
    """
    reporter = "openvino_telemetry"
    hidden = reporter not in sys.modules
    if hidden:
        sys.modules[reporter] = None  # type: ignore[assignment]  # the import system's word for "cannot be imported"
    try:
        return importlib.import_module(name)
    finally:
        if hidden:
            del sys.modules[reporter]


@contextlib.contextmanager
def beside_the_weights(folder: Path, target: Target) -> Iterator[Path]:
    """A place to write to that becomes `folder/target` at the end, with what was exported there before in it.

    OutputError where another process exports the same classifier: the last one to end would undo what the other wrote.
    """
    if not (folder / RECORD).is_file():
        raise ModelError(f"{folder} is not a saved classifier. Give a folder that `classifine train` wrote.")
    busy = f"Another process exports {folder}. Wait for it to end."
    with alone(folder, busy), workplace(folder / target) as place:
        if (folder / target).is_dir():
            shutil.copytree(folder / target, place, dirs_exist_ok=True)
        yield place


def _traced(network: Any, inputs: Sequence[str]) -> Any:
    """The network as a graph, by a batch of token ids that any vocabulary has."""
    import torch

    from classifine.model.first_token import first_token_alone

    batch = {name: torch.zeros((_SMALLEST, _LONGEST), dtype=torch.int64) for name in inputs}
    batch["input_ids"] += torch.arange(_SMALLEST, _SMALLEST + _LONGEST)
    batch["attention_mask"] += 1
    batch["attention_mask"][0, -2:] = 0
    free = {name: dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC) for name in batch}
    with torch.no_grad(), first_token_alone(network):
        return torch.export.export(network.eval(), (), kwargs=batch, dynamic_shapes=free)


@contextlib.contextmanager
def _told(network: Any) -> Iterator[None]:
    """Turn whatever the exporters raise on a network that they cannot express into one sentence."""
    try:
        yield
    except Exception as error:  # each has its own kinds, and none is documented
        raise ModelError(
            f"{type(network).__name__} cannot be exported: {reason(error)} Try the other --to, or predict with torch."
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporters print and warn about, which says nothing that our users can act on."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
