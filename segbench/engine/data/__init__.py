"""From image files to batches on the training device."""
