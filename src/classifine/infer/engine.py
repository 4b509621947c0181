"""What runs a network forward: torch, OpenVINO or ONNX Runtime, each in the number formats it has here.

An engine takes a padded batch of token ids and gives logits; it knows nothing about texts, order or decisions. The
last two run what `model.export` wrote beside the weights, and need neither torch nor transformers' networks.
"""

import contextlib
import importlib.util
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from classifine.errors import ConfigError
from classifine.infer.static import open_static
from classifine.model.base import Pooling
from classifine.model.export import FILES, PACKAGES, exported, unreported
from classifine.model.folder import Saved
from classifine.model.folder import kind as kind_of
from classifine.model.network import fastest_device, processors

Batch = dict[str, NDArray[np.int64]]
# Rows x longest row of a batch: on a processor what its caches like, on a GPU enough to keep it busy.
BATCH_TOKENS, GPU_BATCH_TOKENS = 4096, 65536
# What runs an exported network costs next to nothing for each batch, and small ones stay in a core's own cache.
EXPORTED_BATCH_TOKENS = 1024
# Batches from which on OpenVINO works on several side by side, a thread each, in place of one with all threads. That is
# faster by a sixth, but needs the network compiled in another way. It hangs on the batches of a call alone, so that a job
# that is stopped and goes on computes each of its rows as it would have.
MANY = 8
# What OpenVINO keeps prepared of layers for shapes of batches that it has seen. It would keep 5,000, and as long as batches
# of new shapes come, memory would grow by megabytes with each.
_PREPARED = 256
# Where a classifier was exported this is the order in which engines are tried, the fastest first; benchmarks/inference.py
# measures them.
FASTEST = (
    ("openvino", "int8"),
    ("onnx", "int8"),
    ("openvino", "float32"),
    ("onnx", "float32"),
    ("torch", "float32"),
)


class Engine(Protocol):
    """Runs a batch (rows, longest) of `input_ids`, `attention_mask` and maybe `token_type_ids`; logits (rows, labels)."""

    @property
    def name(self) -> str:
        """What people call it, such as "openvino int8"."""

    @property
    def width(self) -> int:
        """The number of labels."""

    @property
    def tokens(self) -> int:
        """The size of batch that suits it: rows x longest row, padding included."""

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """The logits of a batch."""


@dataclass(frozen=True)
class TorchEngine:
    """The network itself, on the device where it is; its train mode is left as it was.

    `precision` is "float32" (the same scores as plain transformers) or "bf16" (faster, scores equal to about 1e-2).
    """

    network: Any
    precision: str = "float32"

    @property
    def name(self) -> str:
        """The engine and its number format."""
        return f"torch {self.precision}"

    @property
    def width(self) -> int:
        """The number of labels."""
        return int(self.network.config.num_labels)

    @property
    def tokens(self) -> int:
        """The size of batch that suits the device."""
        return _suited(self.network)

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """The logits of a batch."""
        return run_torch(self.network, batch, self.precision, lambda answer, mask: answer.logits.float())


@dataclass(frozen=True)
class EncoderEngine:
    """A pre-trained encoder without a head: a text's last states summed up, by their mean unless `pooling` says
    otherwise, as the default base was trained to (Reimers and Gurevych 2019, "Sentence-BERT").
    """

    network: Any
    precision: str = "float32"
    pooling: Pooling = "mean"

    @property
    def name(self) -> str:
        """The engine and its number format."""
        return f"encoder {self.precision}"

    @property
    def width(self) -> int:
        """The size of a state."""
        return int(self.network.config.hidden_size)

    @property
    def tokens(self) -> int:
        """The size of batch that suits the device."""
        return _suited(self.network)

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """The vectors (rows, width) of a batch."""
        from classifine.model.pooled import pooled

        def summed(answer: Any, mask: Any) -> Any:
            return pooled(answer.last_hidden_state, mask, self.pooling)

        return run_torch(self.network, batch, self.precision, summed)


def _suited(network: Any) -> int:
    return BATCH_TOKENS if network.device.type == "cpu" else GPU_BATCH_TOKENS


def run_torch(network: Any, batch: Batch, precision: str, taken: Callable[[Any, Any], Any]) -> NDArray[np.float32]:
    """What is `taken` of a torch network's answer to a batch, and its mask; the train mode is left as it was.

    A batch that the device's memory does not hold is answered in halves.
    """
    import torch

    from classifine.model.first_token import first_token_alone

    device, training = network.device, network.training
    network.eval()
    try:
        narrow = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
        with torch.inference_mode(), narrow, first_token_alone(network):
            inputs = {name: torch.from_numpy(array).to(device) for name, array in batch.items()}
            found: NDArray[np.float32] = taken(network(**inputs), inputs["attention_mask"]).cpu().numpy()
            return found
    except torch.OutOfMemoryError:
        rows = len(batch["input_ids"])
        if rows == 1:
            raise
    finally:
        network.train(training)
    # Outside, so that nothing of the failed answer is held any more.
    halves = (
        {name: array[part] for name, array in batch.items()} for part in (slice(rows // 2), slice(rows // 2, None))
    )
    return np.concatenate([run_torch(network, half, precision, taken) for half in halves])


@dataclass(frozen=True)
class ExportedEngine:
    """An exported network; `inputs` are the columns that it takes.

    `run` is the runtime's own call for one batch; `run_each`, where there is one, answers many batches in their order.
    """

    name: str
    width: int
    inputs: tuple[str, ...]
    run: Callable[[Batch], Any]
    run_each: Callable[[Iterable[Batch]], Iterator[Any]] | None = None
    tokens: int = EXPORTED_BATCH_TOKENS

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """The logits of a batch."""
        return np.asarray(self.run(self._given(batch)), dtype=np.float32)

    def each(self, batches: Iterable[Batch]) -> Iterator[NDArray[np.float32]]:
        """The logits of many batches, in their order."""
        if self.run_each is None:
            return map(self, batches)
        return (np.asarray(found, dtype=np.float32) for found in self.run_each(map(self._given, batches)))

    def _given(self, batch: Batch) -> Batch:
        return {name: batch[name] if name in batch else np.zeros_like(batch["input_ids"]) for name in self.inputs}


def answered(engine: Engine, batches: Iterable[Batch], count: int) -> Iterator[NDArray[np.float32]]:
    """The logits of `count` batches, in their order."""
    return engine.each(batches) if isinstance(engine, ExportedEngine) and count >= MANY else map(engine, batches)


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
    raise ConfigError(_not_there(saved, *fitting[0]))


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


def open_exported(path: Path, precision: str, width: int) -> Engine:
    """The engine of a file that `model.export` wrote, with `width` labels."""
    return (_onnx if path.suffix == ".onnx" else _openvino)(path, precision, width)


def _openvino(path: Path, precision: str, width: int) -> Engine:
    core = unreported("openvino").Core()
    # What int8 leaves in floating point may as well be bfloat16, where the processor multiplies it by itself. Float32
    # must be asked for: OpenVINO would choose bfloat16 there, and scores would change by 1e-2.
    narrow = precision == "bf16" or (
        precision == "int8" and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    )
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if narrow else "f32",
        "INFERENCE_NUM_THREADS": _cores(),
        "CPU_RUNTIME_CACHE_CAPACITY": _PREPARED,
    }
    network = core.read_model(path)

    @cache
    def one() -> Any:
        return core.compile_model(network, "CPU", {**settings, "PERFORMANCE_HINT": "LATENCY"}).create_infer_request()

    @cache
    def many() -> Any:
        return core.compile_model(network, "CPU", {**settings, "PERFORMANCE_HINT": "THROUGHPUT"})

    inputs = tuple(port.get_any_name() for port in network.inputs)
    return ExportedEngine(
        f"openvino {precision}", width, inputs, lambda batch: one().infer(batch, share_inputs=True)[0],
        lambda batches: _side_by_side(many(), batches),
    )  # fmt: skip


def _side_by_side(compiled: Any, batches: Iterable[Batch]) -> Iterator[NDArray[np.float32]]:
    """The answers to many batches in their order, as many of them at the same time as the compiled network takes."""
    # OpenVINO has a queue for that, too; but it calls Python from threads of its own, and a process that ends meanwhile is
    # aborted. One request more than are worked on, so that none waits for the next batch.
    count = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")) + 1
    free, busy = [compiled.create_infer_request() for _ in range(count)], deque[Any]()

    def first() -> NDArray[np.float32]:
        request = busy.popleft()
        request.wait()
        free.append(request)
        answer: NDArray[np.float32] = request.get_output_tensor(0).data.copy()
        return answer

    try:
        for batch in batches:
            if not free:
                yield first()
            request = free.pop()
            request.start_async(batch)
            busy.append(request)
        while busy:
            yield first()
    finally:
        for request in busy:
            request.wait()


def _onnx(path: Path, precision: str, width: int) -> Engine:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _cores()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = tuple(port.name for port in session.get_inputs())
    return ExportedEngine(f"onnx {precision}", width, inputs, lambda given: session.run(None, given)[0])


def _cores() -> int:
    """The processors that this process may use; `OMP_NUM_THREADS` bounds them, as it does torch's."""
    with contextlib.suppress(KeyError, ValueError):
        return int(os.environ["OMP_NUM_THREADS"])
    return processors()


def _not_there(saved: Saved, name: str, kind: str) -> str:
    if not _installed(name):
        return f"{name} is not installed: pip install 'classifine[{name}]'. Or choose --engine torch."
    asked = f"{name} in {kind}"
    there = [f"{other} {form}" for other in FILES for form in FILES[other] if exported(saved.folder, other, form)]
    flag = " --int8" if kind == "int8" else ""
    return (
        f"{saved.folder} is not exported for {asked}; it has torch{''.join(f', {one}' for one in there)}. "
        f"Run `classifine export {saved.folder} --to {name}{flag}`, or choose another --engine or --precision."
    )
