"""The report of a thread: one self-contained HTML file of the whole trajectory."""
