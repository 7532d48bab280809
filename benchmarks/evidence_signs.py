"""How often OCR is right about what stands on the sandbox's signs.

    python benchmarks/evidence_signs.py [--signs 50] [--size 768] [--seed 5]

Paints signs of words and of random letters and digits, each as asked and with one slip (a letter
changed, left out, or swapped with its neighbour), and asks the OCR tool for the text that was
wanted. Right is yes for what is as asked and no for a slip. Prints a table and what was not right.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import random
import string
import time
from collections import Counter

from gems.evidence.base import Finding, Picture
from gems.evidence.ocr import OcrParameters, OcrTool
from gems.sandbox.painter import paint
from gems.sandbox.scene import random_scene

WORDS = [
    "OPEN",
    "CAFE",
    "BAKERY",
    "EXIT",
    "ZOO",
    "HELLO",
    "JAZZ",
    "CLUB",
    "SALE",
    "WELCOME",
    "MARKET",
    "HOTEL",
    "POST",
    "BANK",
    "TAXI",
    "STOP",
    "SCHOOL",
    "MUSIC",
    "FRESH",
    "PIZZA",
]


def wanted_text(chance: random.Random, kind: str) -> str:
    """A text of at most 12 letters, as the sandbox's signs hold."""
    if kind == "words":
        text = chance.choice(WORDS)
        if chance.random() < 0.4:
            text += " " + chance.choice([*WORDS, "24", "7", "2026"])
    else:
        letters = string.ascii_uppercase + string.digits
        text = " ".join(
            "".join(chance.choices(letters, k=chance.randint(1, 6)))
            for _ in range(chance.randint(1, 2))
        )
    return text[:12].strip()


def with_slip(chance: random.Random, text: str) -> str:
    """The text with one letter changed, left out, or swapped with the next."""
    place = chance.choice([index for index, letter in enumerate(text) if letter != " "])
    how = chance.choice(["swap", "change", "drop"])
    following = text[place + 1 : place + 2]
    if how == "swap" and following.strip() and following != text[place]:
        return text[:place] + following + text[place] + text[place + 2 :]
    if how == "drop" and len(text) > 2:
        return (text[:place] + text[place + 1 :]).strip()
    other = chance.choice([one for one in string.ascii_uppercase if one != text[place]])
    return text[:place] + other + text[place + 1 :]


def look(chance: random.Random, wanted: str, shown: str, size: int, seed: int) -> Finding:
    """Paints a scene with the sign and asks for the wanted text."""
    scene = random_scene(chance, chance.randint(1, 3), sign=1.0, signs=(shown,))
    buffer = io.BytesIO()
    paint(scene, seed, size, size).save(buffer, "PNG")
    data = buffer.getvalue()
    picture = Picture(hashlib.sha256(data).hexdigest(), data)
    return OcrTool().measure(picture, OcrParameters(text=wanted))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--signs", type=int, default=50, help="signs in each row of the table")
    parser.add_argument("--size", type=int, default=768)
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()

    chance = random.Random(arguments.seed)
    print(f"{'signs':8} {'drawn':10} {'right':>6} {'wrong':>6} {'can not tell':>13} {'s/image':>8}")
    odd: list[str] = []
    for kind in ("words", "random"):
        for drawn, right, wrong in (("as asked", "yes", "no"), ("one slip", "no", "yes")):
            answers: Counter[str] = Counter()
            started = time.perf_counter()
            for number in range(arguments.signs):
                wanted = wanted_text(chance, kind)
                shown = wanted if drawn == "as asked" else with_slip(chance, wanted)
                found = look(chance, wanted, shown, arguments.size, number)
                answers[found.answer] += 1
                if found.answer != right:
                    odd.append(f"{wanted!r} drawn as {shown!r}: {found.answer}. {found.fact}")
            seconds = (time.perf_counter() - started) / arguments.signs
            print(
                f"{kind:8} {drawn:10} {answers[right]:6} {answers[wrong]:6} "
                f"{answers['unknown']:13} {seconds:8.2f}"
            )
    print("\n".join(odd))


if __name__ == "__main__":
    main()
