"""The Range header of one request (RFC 9110, 14.1.2 and 14.2)."""

from __future__ import annotations

import re

UNSATISFIABLE = (-1, -1)
"""A range that begins after the end."""

_ONE_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.IGNORECASE)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """Returns the first and the last byte that a Range header asks for, both counted.

    Args:
        header: Its value; empty where there is none.
        size: Bytes of the whole content.

    Returns:
        The range within the content; `UNSATISFIABLE` where it begins after the end; None where the
        whole is to be sent: no header, a malformed one, or several ranges (a server may ignore
        those).
    """
    match = _ONE_RANGE.fullmatch(header.strip())
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        length = min(int(match[2]), size)
        return (size - length, size - 1) if length else UNSATISFIABLE
    first = int(match[1])
    last = int(match[2]) if match[2] else size - 1
    if last < first and match[2]:
        return None
    return (first, min(last, size - 1)) if first < size else UNSATISFIABLE
