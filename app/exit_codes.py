"""What `gems` exits with; the README lists them."""

from __future__ import annotations

FAILED = 1
USAGE = 2
UNMET = 3
"""The run finished, and some requirements are not met."""
