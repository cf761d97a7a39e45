"""Run one cell: data, training, evaluation, timing. The engine is the part of segbench that needs torch."""
