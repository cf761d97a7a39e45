"""Label maps of new images from a recorded cell."""
