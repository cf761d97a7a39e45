"""ONNX files of traced networks, and the runtimes that run them on the CPU."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

import torch

from segbench.errors import RecordError, first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Run = Callable[[NDArray[Any]], NDArray[Any]]
    """Takes images (N, C, H, W) and returns what the network makes of them."""


def to_onnx(program: torch.export.ExportedProgram, facts: Mapping[str, str]) -> bytes:
    """Return a traced network of images as an ONNX file that holds `facts`; RecordError for what ONNX does not have."""
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)  # its warnings are for whoever writes an exporter
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            written = torch.onnx.export(
                program, dynamo=True, input_names=["images"], output_names=["labels"], verbose=False
            )
        assert written is not None, "the exporter of programs returns one"
        written.model.metadata_props.update(facts)
        content: bytes = written.model_proto.SerializeToString()
    except Exception as error:
        raise RecordError(f"the network cannot be written as ONNX: {_innermost(error)}") from error
    return content


def _innermost(error: BaseException) -> str:
    """Return the first line of the error that others were raised from: these tell how to report it to torch."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {first_line(error)}"


def open_onnxruntime(content: bytes, threads: int) -> Run:
    """Return a function that runs an ONNX file with onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})[0]


def open_openvino(content: bytes, threads: int) -> Run:
    """Return a function that runs an ONNX file with OpenVINO, in fp32."""
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(model=content), "CPU", settings)
    return lambda images: compiled([images])[0]


OPENERS: dict[str, Callable[[bytes, int], Run]] = {"onnxruntime": open_onnxruntime, "openvino": open_openvino}
