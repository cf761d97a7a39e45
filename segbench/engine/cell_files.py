"""What a cell leaves in its folder for later cells and commands, by file name."""

from __future__ import annotations

CHECKPOINT = "checkpoint.safetensors"
MODEL = "model.safetensors"
CRITIC = "critic.safetensors"
PROBABILITIES = "probabilities"
