"""Cells that write down what they take over: mIoU is the learning rate, and seconds are ten times that."""

import json

from worker_functions import HERE, SCORES, cell_folder, time_method

from segbench.engine.job import CellResult
from segbench.store.record import Train

__all__ = ["time_method", "train"]


def train(job, channel):
    method, folder = job.cell.method, cell_folder(job)
    rate, budget = method.protocol.optimizer.lr, method.protocol.budget
    placebo = method.adversarial.placebo if method.adversarial else None
    with (folder.parent / "trained").open("a") as trained:
        trained.write(json.dumps([method.name, job.cell.seed, rate, budget.seconds, placebo]) + "\n")
    if (folder.parent / f"break {method.name}").exists():
        raise RuntimeError("made to fail")
    if (folder.parent / f"interrupt {method.name}").exists() and not (folder / "checkpoint").exists():
        (folder / "checkpoint").touch()
        return CellResult(status="interrupted", environment=HERE)
    return CellResult(
        status="ok",
        scores=SCORES.model_copy(update={"miou": None if (folder.parent / "no miou").exists() else rate}),
        train=Train(steps=1, seconds=budget.seconds or 10 * rate, images_per_second=None),
        environment=HERE,
    )
