"""Run one cell: data, training, evaluation, timing. Outside the engine only segbench.testing imports torch."""
