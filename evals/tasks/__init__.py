"""The benchmarks: how each is read, laid out for its official scorer, and judged."""
