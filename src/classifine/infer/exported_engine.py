"""The engine of what `model.export` wrote beside the weights: OpenVINO or ONNX Runtime, each in the number formats it has here.

It needs neither torch nor transformers' networks.
"""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine.infer.engine import Batch, Engine
from classifine.model.export import unreported
from classifine.model.network import processors

# What runs an exported network costs next to nothing for each batch, and small ones stay in a core's own cache.
EXPORTED_BATCH_TOKENS = 1024
# Batches from which on OpenVINO works on several side by side, a thread each, in place of one with all threads. That is
# faster by a sixth, but needs the network compiled in another way. It hangs on the batches of a call alone, so that a job
# that is stopped and goes on computes each of its rows as it would have.
MANY = 8
# What OpenVINO keeps prepared of layers for shapes of batches that it has seen. It would keep 5,000, and as long as batches
# of new shapes come, memory would grow by megabytes with each.
_PREPARED = 256


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
    network, own = core.read_model(path), threading.local()

    @cache
    def compiled(hint: str) -> Any:
        return core.compile_model(network, "CPU", {**settings, "PERFORMANCE_HINT": hint})

    def one() -> Any:
        # A request holds one batch and its answer: shared by threads, one would get the answer of another.
        if not hasattr(own, "request"):
            own.request = compiled("LATENCY").create_infer_request()
        return own.request

    inputs = tuple(port.get_any_name() for port in network.inputs)
    return ExportedEngine(
        f"openvino {precision}", width, inputs, lambda batch: one().infer(batch, share_inputs=True)[0],
        lambda batches: _side_by_side(compiled("THROUGHPUT"), batches),
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
