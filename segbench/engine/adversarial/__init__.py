"""The discriminator in training: its loss and penalty, the fields it compares, and what is recorded of it."""
