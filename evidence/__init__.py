"""Evidence: tools that measure an image, so that a fact stands where a model has an opinion."""
