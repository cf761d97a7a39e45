"""A benchmark becomes a DAG of cells, each with a key."""
