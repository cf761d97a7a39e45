"""Pictures of predictions: sample panels, class evidence, discriminator scores."""
