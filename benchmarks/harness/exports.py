"""Which generators export: as a program of torch and as ONNX, for images of any size or of one, with equal labels.

    python benchmarks/harness/exports.py -o exports.jsonl [--only smp/unet basic/fcn]
    python benchmarks/harness/exports.py --table exports.jsonl

What `segbench export` does, for untrained networks and random images of two sizes; what is in the file already
is left out. Speeds are for `segbench time --runtime`. The table is Markdown.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from generators import CLASSES, find_generators

from segbench.config.method_argument import read_method_argument
from segbench.config.protocol import Budget, TrainingProtocol
from segbench.engine.model.build import as_segmenter, build_generator
from segbench.engine.model.mapping import FieldForm, GeneratorMapping
from segbench.engine.prediction.model import LabelModel
from segbench.engine.prediction.parity import FEWEST_EQUAL
from segbench.engine.prediction.runtimes import open_onnxruntime, to_onnx
from segbench.engine.prediction.tracing import trace
from segbench.engine.recorded import RecordedNetwork
from segbench.registry import load_registry
from segbench.store.description import DatasetDescription

SIZE, OTHER = (128, 160), (96, 107)
PROTOCOL = TrainingProtocol(budget=Budget(steps=1))


def build_model(argument, registry):
    """Return an untrained generator as the module that `segbench export` traces."""
    given = read_method_argument(argument, registry, PROTOCOL)
    palette = tuple((20 * one, 255 - 20 * one, 77 * one % 256) for one in range(CLASSES))
    mapping = GeneratorMapping(given.maps, FieldForm(CLASSES, 255, palette), 1)
    torch.manual_seed(0)
    offer = registry.find("generator", given.generator.use)
    network = as_segmenter(build_generator(offer, given.generator.options, mapping, 3, SIZE), mapping, None)
    names = tuple(f"class {one}" for one in range(CLASSES))
    dataset = DatasetDescription(classes=names, palette=palette, ignore_index=255, channels=3)
    recorded = RecordedNetwork(network.eval(), mapping, dataset, PROTOCOL, (), "untrained")
    return given.generator.use, LabelModel(recorded)


def random_images(number, size):
    """Return images, the same every time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (number, 3, *size), dtype=torch.uint8, generator=generator)


def share_equal(run, model, size):
    """Return the share of labels of two images that a file and the model it was made of have in common."""
    images = random_images(2, size)
    return float((run(images) == model(images)).float().mean())


def try_formats(model):
    """Return by format for which sizes it holds, "any" or "one", or why for none."""
    found = {}
    for sizes in ("any", "one"):
        try:
            program = trace(model, random_images(1, SIZE)[0], sizes == "one")
        except Exception as error:
            found = {"torch": str(error), "onnx": str(error)}
            continue
        for form, make in {"torch": as_program, "onnx": as_onnx}.items():
            if found.get(form) != "any":
                found[form] = try_sizes(make, program, model, sizes)
        if set(found.values()) == {"any"}:
            break
    return found


def try_sizes(make, program, model, sizes):
    """Return `sizes` if a file gives equal labels for these, else what it does."""
    try:
        run = make(program)
        shares = [share_equal(run, model, size) for size in ((SIZE, OTHER) if sizes == "any" else (SIZE,))]
    except Exception as error:
        return " ".join(str(error).split())[:200]
    return sizes if min(shares) >= FEWEST_EQUAL else f"{100 * min(shares):.2f} % equal labels"


def as_program(program):
    """Return what runs a program of torch."""
    return program.module()


def as_onnx(program):
    """Return what runs the ONNX file of a program."""
    run = open_onnxruntime(to_onnx(program, {}), 1)
    return lambda images: torch.from_numpy(run(images.numpy()))


def write_table(lines):
    """Return a row for each generator."""
    words = {"any": "any size", "one": "one size"}
    rows = [
        f"| {one['generator']} | {' | '.join(words.get(one[form], one[form]) for form in ('torch', 'onnx'))} |"
        for one in lines
    ]
    return "\n".join(["| generator | program of torch | ONNX |", "|---|---|---|", *sorted(rows)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("exports.jsonl"))
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    file = options.table or options.output
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    registry = load_registry()
    done = {one["argument"] for one in lines}
    for argument in [] if options.table else find_generators(registry, options.only):
        if argument not in done:
            name, model = build_model(argument, registry)
            lines.append({"argument": argument, "generator": name, **try_formats(model)})
            with file.open("a") as stream:
                stream.write(json.dumps(lines[-1]) + "\n")
    print(write_table(lines))


if __name__ == "__main__":
    main()
