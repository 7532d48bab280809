"""An offline world (painter, eyes, rule-driven chat model) that stands in for real models."""
