"""The words that the sandbox's grammar knows: things, colours, sizes, numbers, and filler."""

from __future__ import annotations

from .scene import COLORS, OBJECT_KINDS, Direction


def words(text: str) -> tuple[str, ...]:
    """Returns the words of a text; long word lists read better as a sentence than as a list."""
    return tuple(text.split())


_KIND_WORDS: dict[str, str] = {
    "cube": "cube box block square",
    "ball": "ball sphere circle disc disk orb",
    "triangle": "triangle",
    "star": "star",
    "heart": "heart",
    "ring": "ring donut doughnut hoop",
    "cross": "cross",
    "arrow": "arrow",
    "crescent": "crescent moon",
    "diamond": "diamond rhombus lozenge",
    "hexagon": "hexagon",
    "cloud": "cloud",
    "house": "house cottage hut",
    "tree": "tree",
    "fish": "fish",
    "cup": "cup mug",
}


def plural(noun: str) -> str:
    """Returns the plural of a singular noun of the sandbox's world (`fish` stays `fish`)."""
    if noun == "fish":
        return noun
    return noun + ("es" if noun.endswith(("s", "x", "sh", "ch")) else "s")


SINGULAR: dict[str, str] = {w: kind for kind, ws in _KIND_WORDS.items() for w in ws.split()}
"""Singular noun -> kind of object."""

PLURAL: dict[str, str] = {plural(w): kind for w, kind in SINGULAR.items()} | {"fishes": "fish"}
"""Plural noun -> kind of object (`fish` is in both)."""

if set(SINGULAR.values()) != set(OBJECT_KINDS):  # pragma: no cover - a slip while editing
    raise AssertionError("The lexicon and the painter name different kinds of objects.")

COLOR_WORDS: dict[str, str] = {color: color for color in COLORS} | {
    "grey": "gray",
    "crimson": "red",
    "scarlet": "red",
    "violet": "purple",
    "navy": "blue",
    "golden": "yellow",
}
"""Colour word -> colour name."""

SIZE_WORDS: dict[str, str] = {
    **dict.fromkeys(("small", "tiny", "little", "miniature"), "small"),
    **dict.fromkeys(("medium", "medium-sized", "mid-sized", "medium-size"), "medium"),
    **dict.fromkeys(("large", "big", "huge", "giant", "oversized", "enormous"), "large"),
}
"""Size word -> size name."""

NUMBER_WORDS = words("zero one two three four five six seven eight nine ten eleven twelve")
"""Position in this list is the number."""

GROUPING: dict[str, int | None] = {
    "pair": 2,
    "couple": 2,
    "duo": 2,
    "trio": 3,
    "quartet": 4,
    **dict.fromkeys(
        ("group", "row", "cluster", "set", "line", "bunch", "collection", "handful", "total")
    ),
}
"""Words that stand between a determiner and "of": "a pair of cubes", "a row of three cubes"."""

BACKGROUND_WORDS = frozenset({"background", "backdrop", "canvas"})
SIGN_WORDS = frozenset({"sign", "signboard", "banner", "placard", "plaque", "billboard", "board"})
TEXT_WORDS = frozenset({"word", "words", "text", "letters", "caption", "lettering", "inscription"})
SAY_WORDS = frozenset(
    words(
        "say says said saying read reads reading display displays displaying show shows "
        "showing bear bears bearing labelled labeled spells spelling spell titled inscribed"
    )
)
DEFINITE = frozenset(words("the this that these those all both every each its their"))
INDEFINITE = frozenset(words("a an some several many few another any single lone exactly only"))
NEGATIONS = frozenset({"no", "without", "not", "never", "isn't", "aren't", "don't", "doesn't"})
PRONOUNS = frozenset({"it", "they", "them", "its", "their"})

BOUNDARIES = frozenset(
    words(
        "of to in on at by for from with within into onto over under above below beneath "
        "underneath beside besides behind before near next between among against around "
        "across along atop and or but nor while as than then that which who whose where when "
        "if so because is are was were be been being am has have had do does did can could "
        "must should may might will would shall stand stands standing sit sits sitting lie "
        "lies lying hang hangs hanging float floats floating appear appears place placed put "
        "set drawn shown made seen located positioned arranged there here it they them he she "
        "we you i riding holding wearing make draw paint create generate show depict render "
        "keep please let contains contain featuring includes include including like left "
        "right above down up out off through without no not says say reads read saying "
        "reading containing"
    )
)
"""Words that end a noun phrase."""

GENERIC_NOUNS = frozenset(
    words(
        "image picture photo photograph illustration drawing painting scene composition view "
        "render rendering shot poster artwork art vector design style graphic background "
        "backdrop canvas sign top bottom left right side sides center centre middle corner "
        "edge edges foreground front back frame distance space area position place spot half "
        "part piece bit lot way kind type sort number count total size scale color colour "
        "colors colours hue tone shade palette shape shapes form object objects item items "
        "thing things element elements group row line lines layout arrangement order set pair "
        "light lighting shadow shadows contrast detail details quality resolution focus depth "
        "texture surface finish look feel feeling mood atmosphere sense touch manner fashion "
        "text word words letter letters font lettering board banner placard plaque billboard "
        "day night moment time whole balance harmony margin margins gap distance room outline "
        "outlines contour result viewer eye eyes gaze figure fact way dozen couple trio "
        "quartet duo one ones other others rest pattern grid camera angle perspective high "
        "flat clean clear plain simple crisp bold solid minimalist red orange yellow green "
        "blue purple pink brown black white gray grey small medium large"
    )
)
"""Nouns (and stray adjectives) of picture talk that are no things to draw."""

RELATION_PATTERN = (
    r"\b(?:(?:to|on|at) (?:the|its|their) (?:far |immediate |very )?(?P<side>left|right)"
    r"(?:-hand)?(?: side)?(?P<of1> (?:of|from))?(?! of)"
    r"|(?P<side2>left|right)(?:-hand)?(?: side)?(?P<of2> of)"
    r"|(?P<above>above|over|on top of|atop|higher than)"
    r"|(?P<below>below|beneath|underneath|under|lower than)"
    r"|(?:at|in|on|near|along) the (?:very )?(?P<end>top|bottom|upper|lower)"
    r"(?: half| part| edge)?(?! of the (?:\w+ )?sign))"
    r"(?!\w)"
)
"""How the words between two noun phrases say where one stands."""

OPPOSITE: dict[Direction, Direction] = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
}


def number_of(word: str) -> int | None:
    """Returns the number that a word or a run of digits names, or None."""
    if word.isascii() and word.isdigit() and len(word) < 4:
        return int(word)
    if word in NUMBER_WORDS:
        return NUMBER_WORDS.index(word)
    return 12 if word == "dozen" else None


def kind_of(word: str) -> str | None:
    """Returns the kind of object that a noun names, singular or plural, or None."""
    return SINGULAR.get(word) or PLURAL.get(word)
