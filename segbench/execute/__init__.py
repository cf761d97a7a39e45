"""Where cells run: worker processes, claims, progress; no torch."""
