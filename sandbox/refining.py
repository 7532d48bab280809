"""The sandbox's refiner and summarizer: what failed moves to the front and is said again."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from .advice import Advice, advice_of
from .emphasis import ClauseKey, emphasis, preferred
from .grammar import Reading, read
from .planning import first_prompts, understood
from .questions import claims_of
from .wording import sentences_for

MOST_WORDS = 110
"""A longer prompt is written anew: with every word more, each clause is heard less."""

_HEAD = re.compile(
    r"^round (?P<round>\d+), candidate (?P<candidate>\d+), score (?P<score>[\d.]+)\s*$",
    re.MULTILINE,
)
_VERDICT = re.compile(r"^- (?P<answer>yes|no|unknown): (?P<rest>.+)$", re.MULTILINE)
_SENTENCE = re.compile(r"[^.!?;]*(?:\"[^\"]*\"[^.!?;\"]*)*[.!?;]+|[^.!?;]+$")


@dataclass
class Tried:
    """One earlier attempt, as the refiner is told of it.

    Attributes:
        score: Fraction of requirements met.
        prompt: What was generated with.
        passed: Questions answered with yes.
        failed: Questions answered with no.
        open: Questions without an answer.
    """

    score: float
    prompt: str
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)


def tried_of(attempts: str) -> list[Tried]:
    """Returns the attempts of an `<attempts>` block, in order; never raises."""
    heads = list(_HEAD.finditer(attempts))
    found = []
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        body = attempts[head.end() : following.start() if following else len(attempts)]
        prompt, _, _ = body.partition("\n- ")
        tried = Tried(float(head["score"]), prompt.strip().removeprefix("prompt:").strip())
        for answer, question in verdicts_of(body):
            {"yes": tried.passed, "no": tried.failed, "unknown": tried.open}[answer].append(
                question
            )
        found.append(tried)
    return found


def last_round_of(attempts: str) -> str:
    """Returns the part of an `<attempts>` block that is about the last round."""
    heads = list(_HEAD.finditer(attempts))
    last = [head for head in heads if head["round"] == heads[-1]["round"]]
    return attempts[last[0].start() :] if last else ""


def verdicts_of(lines: str) -> list[tuple[str, str]]:
    """Returns (answer, question) of lines `- no: Is the ball blue? (It is red.)`."""
    found = []
    for match in _VERDICT.finditer(lines):
        question, mark, _ = match["rest"].partition("?")
        found.append((match["answer"], f"{question}{mark}".strip()))
    return found


def next_prompts(
    prompt: str,
    tried: list[Tried],
    candidates: int,
    avoid: list[str],
    feedback: str = "",
    lessons: str = "",
) -> tuple[str, list[str]]:
    """Returns a rationale and `candidates` new prompts, none of them tried before.

    The best attempt's sentences stay, because what passes came with them; every clause that failed
    is stated in a short sentence of its own in front, in another wording each time it fails.

    Args:
        prompt: The user's prompt.
        tried: Earlier attempts, oldest first.
        candidates: How many, at least 1.
        avoid: Further prompts that were tried.
        feedback: What a person said about the last image; comes before everything else.
        lessons: What earlier tasks taught; wordings that helped there are tried first.
    """
    advice = advice_of(lessons)
    reading = amended(read(prompt), feedback)
    clauses = {claim.question: (claim.clause, claim.index) for claim in claims_of(reading)}
    # Of equals the latest: it has the most repairs in it.
    best = max(reversed(tried), key=lambda one: one.score, default=Tried(0.0, prompt))
    # What failed in the best attempt, then what broke in the last one: stated again as well, or
    # repairing one thing keeps breaking another.
    last = tried[-1] if tried else best
    failures = list(dict.fromkeys([*best.failed, *best.open, *last.failed]))
    keys: list[ClauseKey] = []
    foreign: list[str] = []
    for question in failures:
        clause, index = clauses.get(question, (None, 0))
        if clause is None:
            foreign.append(question)
        elif clause == "object" and (("count", index) in keys or ("color", index) in keys):
            continue
        else:
            keys.append((clause, index))
    known = {_plain(one.prompt) for one in tried} | {_plain(text) for text in avoid}
    all_keys = [(clause.kind, clause.index) for clause in reading.clauses]
    demanded = {claim.question for claim in claims_of(reading)}
    written: list[str] = []
    turn = max(0, len(tried) - 1)
    for step in range(turn, turn + 40 + 4 * candidates):
        # Where the plain rewordings are used up, something that passes is said again as well.
        more = [all_keys[step % len(all_keys)]] if all_keys and step > turn + 10 else []
        text = _rewritten(
            reading, best, [*keys, *more], foreign, step, feedback, len(written), advice
        )
        if understood(reading):
            text = _completed(reading, text)
        if _plain(text) in known or _plain(text) in map(_plain, written):
            continue
        if understood(reading) and not demanded <= {c.question for c in claims_of(read(text))}:
            continue  # the rewriting must not lose or bend anything the user asked for
        written.append(text)
        if len(written) == candidates:
            break
    count = 0
    while len(written) < candidates:
        count += 1
        text = prompt.rstrip(" .") + "." + " All of it is in view." * count
        if _plain(text) not in known and text not in written:
            written.append(text)
    what = "; ".join(failures) or "nothing"
    rationale = f"Failed: {what} It comes first, in its own sentence; what passed keeps its words."
    return rationale, written


def _rewritten(
    reading: Reading,
    best: Tried,
    keys: list[ClauseKey],
    foreign: list[str],
    step: int,
    feedback: str,
    candidate: int,
    advice: Advice,
) -> str:
    """Returns one new prompt: the failed clauses in front of the best attempt's sentences."""
    emphasised = {emphasis(reading, key, turn) for key in keys for turn in range(5)}
    front = [_worded(reading, key, step, advice, best) for key in keys]
    if step % 2 and len(keys) <= 2:
        front += [_worded(reading, key, step + 1, advice, best) for key in keys]
    front += [_stated(question) for question in foreign]
    if feedback:
        base = sentences_for(reading) if understood(reading) else [feedback.strip(), best.prompt]
    elif candidate and understood(reading):
        # Further candidates change the structure, not only the words in front.
        base = _split(first_prompts(" ".join(sentences_for(reading)), candidate + 1)[-1])
    else:
        base = [sentence for sentence in _split(best.prompt) if sentence not in emphasised]
    front = [sentence for sentence in dict.fromkeys(front) if sentence not in base]
    text = " ".join([*front, *base])
    if len(text.split()) > MOST_WORDS and understood(reading):
        text = " ".join([*front, *sentences_for(reading)])
    return text


def _worded(reading: Reading, key: ClauseKey, step: int, advice: Advice, best: Tried) -> str:
    """Returns a sentence for a failed clause: by advice where there is some, else by turns."""
    if any(pattern.kind == key[0] for pattern in advice):
        fresh = [text for text in preferred(reading, key, advice) if text not in best.prompt]
        if fresh:
            return fresh[step % len(fresh)]
    return emphasis(reading, key, step)


def _completed(reading: Reading, text: str) -> str:
    """Returns the text with a sentence for each fact of the reading that it lacks."""
    there = {claim.question for claim in claims_of(read(text))}
    lacking = [
        emphasis(reading, (claim.clause, claim.index), 0)
        for claim in claims_of(reading)
        if claim.clause is not None and claim.question not in there
    ]
    return " ".join([text, *lacking])


def amended(reading: Reading, feedback: str) -> Reading:
    """Returns the reading with what a person's feedback says in place of what the prompt says."""
    wish = read(feedback)
    if not wish.clauses or not understood(reading):
        return reading
    groups = list(reading.groups)
    for new in wish.groups:
        same = [index for index, group in enumerate(groups) if group.kind == new.kind]
        if len(same) != 1:
            groups.append(new)
            continue
        old = groups[same[0]]
        groups[same[0]] = replace(
            old,
            color=new.color or old.color,
            size=new.size or old.size,
            count=new.count if new.count not in {None, 1} else old.count,
        )
    changed = replace(
        reading,
        groups=tuple(groups),
        background=wish.background or reading.background,
        sign=wish.sign or reading.sign,
    )
    return read(" ".join(sentences_for(changed)))


def summary(prompt: str, verdicts: list[tuple[str, str]], earlier: str) -> str:
    """Returns what a round taught, at most 100 words.

    Args:
        prompt: The attempt's prompt.
        verdicts: (answer, question) of each requirement.
        earlier: The experiences of earlier rounds.
    """
    failed = list(dict.fromkeys(q for answer, q in verdicts if answer == "no"))
    unseen = list(dict.fromkeys(q for answer, q in verdicts if answer == "unknown"))
    passed = sum(answer == "yes" for answer, _ in verdicts)
    opening = " ".join(prompt.split()[:10])
    parts = [f"{passed} of {len(verdicts)} passed with a prompt that began: {opening} …"]
    if failed:
        again = [question for question in failed if question in earlier]
        parts.append(f"Failed: {' '.join(failed[:5])}")
        if again:
            parts.append(f"Again: {' '.join(again[:2])} Another wording is needed.")
        parts.append("Move these to the front, each in its own short sentence, and say them twice.")
    else:
        parts.append("Nothing failed.")
    if unseen:
        parts.append(f"Could not be judged: {' '.join(unseen[:3])}")
    words = " ".join(parts).split()
    return " ".join(words[:100])


def _split(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE.findall(text) if part.strip()]


def _stated(question: str) -> str:
    """Returns a question as a statement: "Is there a dragon?" becomes "There is a dragon."."""
    words = question.strip(" ?")
    match = re.match(r"^(Is|Are) there (?:any )?(.+)$", words)
    if match:
        return f"There {match[1].lower()} {match[2]}."
    match = re.match(r"^(Is|Are) (the image|the \w+|\w+) (.+)$", words)
    if match:
        return f"{match[2][0].upper()}{match[2][1:]} {match[1].lower()} {match[3]}."
    return f"To be seen: {words}."


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
