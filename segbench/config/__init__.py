"""A benchmark file, read, checked and resolved."""
