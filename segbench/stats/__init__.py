"""What records prove; no torch."""
