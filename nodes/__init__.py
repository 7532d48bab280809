"""One file for each agent role, each with its own prompt beside it."""
