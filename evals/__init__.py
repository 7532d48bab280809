"""Measures how well parts of the agent work: labelled sets, runners and scorers."""
