"""Pictures of predictions: sample panels, heat maps, class evidence."""
