"""From images and a trained network to per-image counts."""
