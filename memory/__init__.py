"""What outlives a call: images, checkpoints, experiences."""
