"""What a folder of images and masks holds, found by looking: its layout, its classes, a benchmark of its size."""
