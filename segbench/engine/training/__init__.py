"""The training loop, what it is set up from, and what it can resume from."""
