"""How runs look in HTML: one style, and the parts that notebook, reports and evaluation share.

Everything here turns records into text. Nothing reads a checkpoint or calls a model.
"""
