"""Mirrors of records and events in experiment trackers; nothing is read back from them."""
