"""Where cells run: worker processes, leases, timing, progress; no torch."""
