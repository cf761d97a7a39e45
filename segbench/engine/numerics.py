"""Numeric settings of a cell's process: precision, threads, memory, and the seed of every random draw."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import warnings
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

from segbench.errors import CellError, DeviceError, OutOfMemoryError, first_line
from segbench.plan.cell import Subset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segbench.config.protocol import TrainingProtocol
    from segbench.plan.cell import Cell

    from .job import Channel


# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4

_HALF_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: str, *, keeps_casts: bool = True) -> AbstractContextManager[object]:
    """Return the context in which a network's forward pass runs; for fp32 it does nothing.

    `keeps_casts` is whether a weight that is used twice is cast once.
    """
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=_HALF_TYPES[precision], cache_enabled=keeps_casts)


def memory_format(channels_last: bool) -> torch.memory_format:
    """Return the memory format of weights and images."""
    return torch.channels_last if channels_last else torch.contiguous_format


def apply_numeric_settings(protocol: TrainingProtocol) -> None:
    """Apply the settings that are global to the process: threads, TF32, how kernels are chosen, freed memory."""
    keep_freed_memory()
    if protocol.threads is not None:
        torch.set_num_threads(protocol.threads)
    choose_kernels(protocol)


def choose_kernels(protocol: TrainingProtocol) -> None:
    """Say how a GPU may multiply and add: TF32, the search for kernels, a fixed order."""
    torch.backends.cuda.matmul.allow_tf32 = protocol.tf32
    torch.backends.cudnn.allow_tf32 = protocol.tf32
    # Training crops have one shape, so the search pays off after the first step; but it may end otherwise each time.
    torch.backends.cudnn.benchmark = not protocol.deterministic
    torch.backends.cudnn.deterministic = protocol.deterministic
    if protocol.deterministic != torch.are_deterministic_algorithms_enabled():
        _set_fixed_order(protocol.deterministic)


def _set_fixed_order(on: bool) -> None:
    """Have each operation add in a fixed order, as far as torch can; it warns of one that cannot."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS when it starts
    torch.use_deterministic_algorithms(on, warn_only=True)
    torch._C._set_deterministic_fill_uninitialized_memory(False)  # a fill for each tensor, none of which is read unset


@contextmanager
def searching_for_kernels(worthwhile: bool) -> Iterator[None]:
    """Have cuDNN search for the fastest kernels inside the block only if that is worthwhile, and otherwise choose."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before and worthwhile
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


_NO_FIXED_ORDER = "does not have a deterministic implementation"


@contextmanager
def tell_of_no_fixed_order(channel: Channel) -> Iterator[None]:
    """Emit a warning for each operation of which torch says that it adds in no fixed order, once."""
    told: set[str] = set()
    with warnings.catch_warnings():
        show = warnings.showwarning

        def tell(message: Warning | str, *place: Any, **more: Any) -> None:
            operation, found, _ = str(message).partition(f" {_NO_FIXED_ORDER}")
            if not found:
                show(message, *place, **more)
            elif operation not in told:
                told.add(operation)
                channel.emit("warning", message=f"deterministic: torch has no form of {operation} with a fixed order")

        warnings.filterwarnings("default", message=f".*{_NO_FIXED_ORDER}")
        warnings.showwarning = tell
        yield


def keep_freed_memory() -> None:
    """Have the C library keep memory that is freed, since every training step asks for the same again.

    Otherwise glibc returns large tensors to the system, which clears each page anew at the next step. Does nothing
    where the C library is another one.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.mallopt(_M_MMAP_MAX, 0)
    library.mallopt(_M_TRIM_THRESHOLD, -1)


# What is said where memory is out, beside torch's own type of error.
_MEMORY_TEXTS = (
    "can't allocate memory",  # the CPU's allocator
    "CUDA error: out of memory",  # the driver, such as for a context
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "unable to find an engine to execute this computation",  # cuDNN, where no algorithm's workspace fits
)

_BLOCKING = "CUDA_LAUNCH_BLOCKING"  # read by the driver when CUDA starts


@contextmanager
def name_device_errors(device: torch.device) -> Iterator[None]:
    """Turn every error that means running out of memory into OutOfMemoryError, and those that come late to DeviceError.

    A CUDA device reports the failure of a kernel at some later call, whose code is not to blame; unless the process
    waits for each kernel (`wait_for_each_kernel`), when the error is left as it is.
    """
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise _out_of_memory(device, error) from error
    except RuntimeError as error:
        if any(text in str(error) for text in _MEMORY_TEXTS):
            raise _out_of_memory(device, error) from error
        if not isinstance(error, torch.AcceleratorError) or os.environ.get(_BLOCKING) == "1":
            raise
        raise DeviceError(
            f"{device} failed: {first_line(error)}; devices report errors late, so the line that met it need not be at "
            f"fault. {_BLOCKING}=1 in the environment shows which is"
        ) from error


def wait_for_each_kernel() -> None:
    """Have this process wait for each kernel, so that an error comes up where it is made; before CUDA starts."""
    os.environ[_BLOCKING] = "1"


def _out_of_memory(device: torch.device, error: Exception) -> OutOfMemoryError:
    return OutOfMemoryError(f"out of memory on {device}: {first_line(error)}; lower batch_size or crop")


# What torch says of a norm layer that sees too little in training, and what to do about it.
_NORM_ERRORS = {
    "Expected more than 1 value per channel when training": (
        "a batch norm layer sees a single value a channel, so there is nothing to normalise by; set "
        "protocol.batch_size to 2 or more, or a larger crop"
    ),
    "Expected more than 1 spatial element when training": (
        "an instance norm layer sees a single pixel, so there is nothing to normalise by; set a larger protocol.crop"
    ),
}


@contextmanager
def name_norm_errors() -> Iterator[None]:
    """Turn torch's errors of norm layers that see a single value into CellErrors that say what to do."""
    try:
        yield
    except ValueError as error:
        for text, cure in _NORM_ERRORS.items():
            if str(error).startswith(text):
                raise CellError(f"{cure} ({error})") from error
        raise


def training_seed(cell: Cell) -> int:
    """Return what all random draws of a cell's training derive from: its seed, and its test fold where it has one.

    So the networks of a cross-validated seed start independently, and those of its methods in one fold alike.
    """
    fold = Subset.parse(cell.subset).test_fold
    return cell.seed if fold is None else derive(cell.seed, "test fold", fold)


def derive(seed: int, purpose: str, step: int = 0) -> int:
    """Return a 63-bit seed for one purpose ("weights", "order", "augmentation", "noise") and step of a cell.

    Every random draw of a cell has such a seed, so no state of a generator need be stored.

    >>> derive(0, "order") == derive(0, "order"), derive(0, "order") == derive(0, "noise")
    (True, False)
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{step}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def random_generator(seed: int, purpose: str, step: int = 0) -> torch.Generator:
    """Return a CPU generator seeded for one purpose and step."""
    return torch.Generator().manual_seed(derive(seed, purpose, step))
