"""The training loop, its setup, its state and checkpoint, its clock."""
