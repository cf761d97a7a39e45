"""Inside one cell: data, training, evaluation, metrics, timing; torch lives here only."""
