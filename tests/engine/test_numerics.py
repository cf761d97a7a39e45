from __future__ import annotations

import os
import platform
import subprocess
import sys
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segbench.config.protocol import Budget, TrainingProtocol
from segbench.engine.numerics import (
    apply_numeric_settings,
    derive,
    name_device_errors,
    name_norm_errors,
    random_generator,
    tell_of_no_fixed_order,
    training_seed,
    wait_for_each_kernel,
)
from segbench.errors import CellError, DeviceError, OutOfMemoryError
from segbench.plan.cell import Cell

CPU = torch.device("cpu")


def test_a_tensor_too_large_for_the_machine_is_out_of_memory():
    with pytest.raises(CellError, match=r"out of memory on cpu: .*lower batch_size or crop"), name_device_errors(CPU):
        torch.empty(2**55)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        torch.AcceleratorError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        RuntimeError("FIND was unable to find an engine to execute this computation"),
    ],
)
def test_what_a_device_says_where_memory_is_out_is_out_of_memory(error):
    told = r"out of memory on cuda:1: .*lower batch_size or crop"
    with pytest.raises(OutOfMemoryError, match=told), name_device_errors(torch.device("cuda:1")):
        raise error


ASSERTED = "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported"


def test_an_error_that_a_device_reports_late_is_told_as_such(monkeypatch):
    monkeypatch.delenv("CUDA_LAUNCH_BLOCKING", raising=False)
    told = r"cuda:1 failed: CUDA error: device-side assert triggered; .* late"
    with pytest.raises(DeviceError, match=told), name_device_errors(torch.device("cuda:1")):
        raise torch.AcceleratorError(ASSERTED)


def test_where_each_kernel_is_waited_for_the_line_that_met_an_error_has_made_it(monkeypatch):
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "0")
    wait_for_each_kernel()
    with pytest.raises(torch.AcceleratorError), name_device_errors(torch.device("cuda:1")):
        raise torch.AcceleratorError(ASSERTED)


def test_other_errors_pass_unchanged():
    with pytest.raises(RuntimeError, match="must match"), name_device_errors(CPU):
        torch.zeros(2) + torch.zeros(3)


@pytest.mark.parametrize(
    ("layer", "cure"),
    [
        (
            torch.nn.BatchNorm2d(3),
            r"a batch norm layer .* set protocol.batch_size to 2 or more, or a larger crop \(Exp",
        ),
        (torch.nn.InstanceNorm2d(3), r"an instance norm layer sees a single pixel.* set a larger protocol.crop \(Exp"),
    ],
)
def test_a_norm_layer_that_sees_a_single_value_is_told_in_plain_words(layer, cure):
    with pytest.raises(CellError, match=cure), name_norm_errors():
        layer.train()(torch.zeros(1, 3, 1, 1))
    with pytest.raises(ValueError, match=r"^other$"), name_norm_errors():
        raise ValueError("other")


@pytest.fixture
def usual_numerics(monkeypatch):
    """Put back what a protocol sets for the whole process."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    yield
    apply_numeric_settings(PROTOCOL)


PROTOCOL = TrainingProtocol(budget=Budget(steps=1))


def test_a_deterministic_protocol_fixes_kernels_and_the_order_of_sums_and_the_next_one_does_not(usual_numerics):
    def found():
        cudnn = torch.backends.cudnn
        return cudnn.benchmark, cudnn.deterministic, torch.are_deterministic_algorithms_enabled()

    apply_numeric_settings(PROTOCOL.model_copy(update={"deterministic": True}))
    assert found() == (False, True, True)
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    apply_numeric_settings(PROTOCOL)
    assert found() == (True, False, False)


def test_an_operation_that_has_no_fixed_order_is_told_once_and_other_warnings_stay(recorder):
    channel = recorder()
    with warnings.catch_warnings(record=True) as others, tell_of_no_fixed_order(channel):
        for operation in ("nll_loss2d", "adaptive_max_pool2d", "nll_loss2d"):
            warnings.warn(f"{operation} does not have a deterministic implementation, but you set", stacklevel=1)
        warnings.simplefilter("always")
        warnings.warn("something else", stacklevel=1)
    assert channel.of("warning") == [
        {"message": f"deterministic: torch has no form of {operation} with a fixed order"}
        for operation in ("nll_loss2d", "adaptive_max_pool2d")
    ]
    assert [str(one.message) for one in others] == ["something else"]


COUNT_MAPPED_BLOCKS = """
import ctypes
import torch
from segbench.engine.numerics import keep_freed_memory

fields = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
State = type("State", (ctypes.Structure,), {"_fields_": [(name, ctypes.c_size_t) for name in fields]})
library = ctypes.CDLL(None)
library.mallinfo2.restype = State
if KEEP:
    keep_freed_memory()
before = library.mallinfo2().hblks  # blocks that come from mmap and go back when freed
tensor = torch.zeros(64 * 2**20, dtype=torch.uint8)
print(library.mallinfo2().hblks - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
@pytest.mark.parametrize(("keep", "mapped_blocks"), [(True, 0), (False, 1)])
def test_large_tensors_come_from_memory_that_the_process_keeps(keep, mapped_blocks):
    program = COUNT_MAPPED_BLOCKS.replace("KEEP", str(keep))
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(result.stdout) == mapped_blocks


@given(st.integers(), st.integers(min_value=0), st.integers(min_value=0))
def test_purposes_and_steps_have_seeds_of_their_own(seed, step, other_step):
    assert derive(seed, "order", step) != derive(seed, "noise", step)
    assert (derive(seed, "order", step) == derive(seed, "order", other_step)) == (step == other_step)
    assert 0 <= derive(seed, "order", step) < 2**63


def test_equal_seeds_give_equal_draws():
    draws = [torch.rand(3, generator=random_generator(5, "augmentation", 2)) for _ in range(2)]
    assert torch.equal(*draws)


def test_what_training_draws_derives_from_the_seed_and_from_the_test_fold_alone():
    def derived(seed, subset="all"):
        return training_seed(Cell.model_construct(seed=seed, subset=subset))

    assert [derived(7), derived(7, "labels 0.5, fold 2/3")] == [7, 7]
    assert derived(7, "test fold 2/5, labels 0.5, fold 2/3") == derived(7, "test fold 2/5")
    folds = {derived(seed, f"test fold {fold}/5") for seed in range(3) for fold in range(1, 6)}
    assert len(folds) == 15
    assert all(0 <= one < 2**63 for one in folds)
