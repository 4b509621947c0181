"""What a run will be trained on, and what of it suits which attention. It knows nothing about settings or data."""

from dataclasses import dataclass
from pathlib import Path

from classifine.model.network import fastest_device, processors


@dataclass(frozen=True)
class Hardware:
    """What the network will run on; `bf16` tells whether it multiplies bfloat16 by instructions of its own."""

    device: str
    name: str
    cores: int
    bf16: bool
    devices: int = 1


def look_at_hardware() -> Hardware:
    """The device that training would use, and whether it has bfloat16."""
    import torch

    cores = processors()
    if fastest_device() == "cuda":
        return Hardware(
            "cuda", torch.cuda.get_device_name(), cores, torch.cuda.is_bf16_supported(False), torch.cuda.device_count()
        )
    return Hardware("cpu", "processor", cores, _has_bf16())


def _has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 matrices by instructions of its own.

    They are several times as fast as float32's; where they are missing PyTorch emulates them, slower than float32.
    Read rather than timed: a timing depends on what else the machine does, and two runs would differ.
    """
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16"))


def attention_on(hardware: Hardware) -> tuple[str | None, bool]:
    """(transformers' implementation or None for its own choice, whether attention weights get dropout).

    Measured at the lengths of news and tweets: PyTorch's fused attention has a slow backward on processors, and
    drawing masks for attention weights costs more there than the regularisation brings.
    """
    return ("eager", False) if hardware.device == "cpu" else (None, True)
