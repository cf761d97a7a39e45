"""What torch keeps for the whole process, where it has been loaded; it is not loaded for it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .setting import Setting

if TYPE_CHECKING:
    from collections.abc import Iterator

_CUDNN = ("enabled", "benchmark", "deterministic")


def torch_settings() -> list[Setting]:
    """Return what neither importing a plugin nor building a component may change."""
    torch = _loaded_torch()
    return [] if torch is None else [*_modes(torch), *_precisions(torch)]


def torch_random_settings() -> list[Setting]:
    """Return the state of the random numbers that a build draws weights from."""
    torch = _loaded_torch()
    if torch is None:
        return []

    def put_back(state: bytes) -> None:
        torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))

    return [Setting("torch's random numbers", lambda: torch.get_rng_state().numpy().tobytes(), put_back)]


def _loaded_torch() -> Any:
    """Return torch if it has been imported to its end."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "get_default_device") else None


def _modes(torch: Any) -> Iterator[Setting]:
    def put_device_back(device: Any) -> None:
        # A default device that is set, be it the usual one, slows every call of torch down.
        torch.set_default_device(None if device.type == "cpu" else device)

    def determinism() -> tuple[bool, bool]:
        return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()

    def put_determinism_back(before: tuple[bool, bool]) -> None:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])

    yield Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype, torch.float32)
    yield Setting("torch's default device", torch.get_default_device, put_device_back, torch.device("cpu"))
    yield Setting("torch's grad mode", torch.is_grad_enabled, torch.set_grad_enabled, initial=True)
    yield Setting("torch's anomaly detection", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly, False)
    yield Setting("torch's deterministic algorithms", determinism, put_determinism_back, (False, False))
    yield Setting("torch's number of threads", torch.get_num_threads, torch.set_num_threads)


def _precisions(torch: Any) -> Iterator[Setting]:
    """Yield what decides how float32 numbers are multiplied, the widest first: narrower ones are put back behind it."""
    backends = torch.backends
    if hasattr(backends, "fp32_precision"):  # torch 2.9
        yield _attribute("torch.backends.fp32_precision", backends, "fp32_precision")
    yield Setting(
        "torch's float32 matmul precision", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    )
    if hasattr(backends.mkldnn, "matmul"):  # torch 2.9; the call above sets it as well
        yield _attribute("torch.backends.mkldnn.matmul.fp32_precision", backends.mkldnn.matmul, "fp32_precision")
    yield _attribute("torch.backends.cuda.matmul.allow_tf32", backends.cuda.matmul, "allow_tf32")
    yield _attribute("torch.backends.cudnn.allow_tf32", backends.cudnn, "allow_tf32")
    for name in _CUDNN:
        yield _attribute(f"torch.backends.cudnn.{name}", backends.cudnn, name)


def _attribute(name: str, owner: Any, attribute: str) -> Setting:
    return Setting(name, lambda: getattr(owner, attribute), lambda before: setattr(owner, attribute, before))
