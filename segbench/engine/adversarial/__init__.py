"""The discriminator in training: its step, what it is shown, and what is observed of it."""
