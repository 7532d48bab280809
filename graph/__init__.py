"""The graph: its state, its run-scoped settings, and how the nodes are wired."""
