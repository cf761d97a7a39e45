"""Benchmark files that ship with segbench; `segbench run NAME` finds them here."""
