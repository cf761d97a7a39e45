"""Which generators export: as a program of torch and as ONNX, for images of any size or of one, with equal labels.

    python benchmarks/harness/exports.py -o exports.jsonl [--only smp/unet basic/fcn]
    python benchmarks/harness/exports.py --table exports.jsonl

What `segbench export` does, for untrained networks and random images of two sizes; what is in the file already
is left out. An ONNX file is timed against the network it was made of, call by call in turn: CPU seconds of one thread,
so that other work on the machine matters less. Speeds at real sizes are for `segbench time --runtime`. The table is
Markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
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
PAIRS = 9
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
    """Return by format for which sizes it holds, "any" or "one", or why for none, and what an ONNX file is like.

    What holds for one size alone has with it why it does not for any.
    """
    found = {}
    for sizes in ("any", "one"):
        open_still = {form: tried for form, tried in FORMATS.items() if found.get(form) != "any"}
        found |= {f"{form} at any size": found[form] for form in open_still if form in found}
        try:
            program = trace(model, random_images(1, SIZE)[0], sizes == "one") if open_still else None
        except Exception as error:
            found |= dict.fromkeys(open_still, str(error))
            continue
        for tried in open_still.values():
            found |= tried(program, model, sizes)
    return found


def try_program(program, model, sizes):
    """Return for which sizes a program of torch holds."""
    return {"torch": try_sizes(program.module, model, sizes)}


def try_onnx(program, model, sizes):
    """Return for which sizes an ONNX file of a program holds, its megabytes and how many times as fast it is."""
    found = {}

    def write_and_open():
        content = to_onnx(program, {})
        found["megabytes"] = len(content) / 1e6
        run = open_onnxruntime(content, 1)
        return lambda images: torch.from_numpy(run(images.numpy()))

    found["onnx"] = try_sizes(write_and_open, model, sizes, lambda run: found.update(faster=time_pairs(run, model)))
    return found


FORMATS = {"torch": try_program, "onnx": try_onnx}


def try_sizes(make, model, sizes, look=None):
    """Return `sizes` if what `make` returns gives equal labels for these, else what it does; have it looked at then."""
    try:
        run = make()
        shares = [share_equal(run, model, size) for size in ((SIZE, OTHER) if sizes == "any" else (SIZE,))]
        if min(shares) < FEWEST_EQUAL:
            return f"{100 * min(shares):.2f} % equal labels"
        if look is not None:
            look(run)
    except Exception as error:
        return " ".join(str(error).split())[:200]
    return sizes


def time_pairs(run, model):
    """Return how many times as fast a file is as the model it was made of: median, least and most of some pairs."""
    images = random_images(1, SIZE)
    pairs = [cpu_seconds(model, images) / cpu_seconds(run, images) for _ in range(PAIRS)]
    return [statistics.median(pairs), min(pairs), max(pairs)]


def cpu_seconds(run, images):
    """Return the CPU seconds of one call."""
    start = time.process_time()
    run(images)
    return time.process_time() - start


def write_table(lines):
    """Return a row for each generator."""
    heads = ("generator", "program of torch", "ONNX", "MB", "times as fast as torch")
    rows = [f"| {' | '.join(describe(one))} |" for one in lines]
    reasons = [f"{one['generator']}, {key}: {one[key]}" for one in lines for key in one if key.endswith(" at any size")]
    return "\n".join([f"| {' | '.join(heads)} |", "|---|---|---|--:|--:|", *sorted(rows), *sorted(reasons)])


def describe(line):
    """Return the cells of a generator's row."""
    words = {"any": "any size", "one": "one size"}
    exported = [words.get(line[form], line[form]) for form in ("torch", "onnx")]
    if line["onnx"] not in words:
        return [line["generator"], *exported, "-", "-"]
    median, least, most = line["faster"]
    return [line["generator"], *exported, f"{line['megabytes']:.3g}", f"{median:.2f} ({least:.2f} to {most:.2f})"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("exports.jsonl"))
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    file = options.table or options.output
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    registry = load_registry()
    torch.set_num_threads(1)
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
