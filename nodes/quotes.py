"""Quoted text stays verbatim.

Rewriting a prompt without care ruins rendered text (the paper's Rewrite row: LongText-EN falls from
0.912 to 0.571), so every quote of the user's prompt must stand unchanged in every prompt we send.
"""

from __future__ import annotations

import re

_QUOTED = re.compile(
    r'"([^"\n]{1,400})"|“([^”\n]{1,400})”|「([^」\n]{1,400})」|『([^』\n]{1,400})』'
    r"|«([^»\n]{1,400})»"
    # A straight single quote is an apostrophe far more often than a quotation mark.
    r"|(?<!\w)'([^'\n]{1,400})'(?!\w)|(?<!\w)‘([^’\n]{1,400})’(?!\w)"
)


def quotes_in(text: str) -> list[str]:
    """Returns the quoted passages of a text, each once, in order, without the quotation marks."""
    found = (next(group for group in match.groups() if group) for match in _QUOTED.finditer(text))
    return list(dict.fromkeys(passage.strip() for passage in found if passage.strip()))


def keep_quotes(original: str, rewritten: str) -> str:
    """Returns the rewritten prompt with every quote of the original in it, verbatim.

    A missing quote is added in a sentence at the end rather than asked for again: it costs no
    model call and can't fail.
    """
    missing = [passage for passage in quotes_in(original) if passage not in rewritten]
    if not missing:
        return rewritten
    added = " ".join(f'The text reads exactly "{passage}".' for passage in missing)
    return f"{rewritten.rstrip()} {added}"
