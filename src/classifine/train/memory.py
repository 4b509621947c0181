"""What training does to memory: keep freed blocks of the process's, and tell the peak of the device's.

It knows nothing about networks.
"""

import contextlib
import ctypes
import gc
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h of glibc


def keep_freed_memory() -> bool:
    """Let glibc's allocator keep large freed blocks; False where there is no glibc.

    A training step on a processor frees and asks again for the same hundreds of megabytes. By default glibc hands
    them back to the system each time, and the page faults that follow cost a good part of the step. It holds for the whole process
    from then on; `give_back_freed_memory` bounds what it keeps.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    # Older releases of glibc take no threshold above 32 MiB.
    kept = mallopt(_M_MMAP_THRESHOLD, 1 << 30) or mallopt(_M_MMAP_THRESHOLD, 32 << 20)
    return bool(kept and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1) and mallopt(_M_TOP_PAD, 64 << 20))


def give_back_freed_memory() -> None:
    """Return the pages of freed blocks to the system, for a process that keeps them; nothing without glibc.

    Batches of ever other lengths leave holes that no later batch fits, so what is kept would grow without this.
    """
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def free_memory() -> None:
    """Let go of what a training held that is over, also of one that failed for want of memory; on a GPU of its cache, too."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def peak_memory_mib(device: str) -> int | None:
    """The most memory that this process has held, in MiB; None where the system does not tell.

    On the device "cuda" that of the GPUs, of which the one that held most counts: there it runs out first.
    """
    if device == "cuda":
        import torch

        return round(max(map(torch.cuda.max_memory_allocated, range(torch.cuda.device_count()))) / (1 << 20))
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20) if sys.platform == "darwin" else peak / 1024)
