"""Who judges images: chat models with log-probabilities, a local model, or the painter's truth."""
