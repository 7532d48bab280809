"""Gallery and plots: what is shown, and that no text or file gets out of its place."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from gems.evals.comparison import compare, load_run
from gems.evals.gallery import gallery, thumbnail, walls
from gems.evals.plots import draw_plots, pareto
from gems.evals.report import chapter

from .run_folders import drawn, judgment_of, write_run

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\u202egnp.exe'


class Elements(HTMLParser):
    """Collects the elements of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def compared(*folders):
    (found,) = compare([load_run(folder) for folder in folders])
    return found


def test_wins_losses_and_ties_are_shown_the_largest_first(tmp_path):
    one = {"even": [50.0], "small": [60.0], "large": [100.0], "lost": [0.0]}
    other = {"even": [50.0], "small": [50.0], "large": [10.0], "lost": [40.0]}
    wins, losses, ties = walls(
        compared(
            write_run(tmp_path / "gems", "gems", one, images=True),
            write_run(tmp_path / "single", "single", other, images=True),
        )
    )
    assert wins.title == "gems wins against single"
    assert [card.key for card in wins.cards] == ["large#0", "small#0"]
    assert wins.cards[0].difference == "+90.0 points"
    assert [side.strategy for side in wins.cards[0].sides] == ["gems", "single"]
    assert all(side.image.startswith("data:image/webp;base64,") for side in wins.cards[0].sides)
    assert [card.key for card in losses.cards] == ["lost#0"]
    assert [card.key for card in ties.cards] == ["even#0"]
    assert "of 4 samples that both have" in ties.note


def test_one_run_alone_shows_its_lowest_and_highest(tmp_path):
    scores = {f"p{number}": [10.0 * number] for number in range(6)}
    lowest, highest = walls(compared(write_run(tmp_path / "gems", "gems", scores)))
    assert lowest.cards[0].key == "p0#0"
    assert highest.cards[0].key == "p5#0"
    assert lowest.cards[0].sides[0].missing == "the file is not in the run's folder"


def test_other_peoples_text_is_text_and_nothing_is_loaded_or_run(tmp_path):
    folder = write_run(
        tmp_path / "gems",
        "gems",
        {"a": [0.0]},
        prompts={"a": HOSTILE},
        tags={"a": {"kind": HOSTILE}},
        warnings=[HOSTILE],
        generator=HOSTILE,
        images=True,
    )
    row = load_run(folder).rows["a#0"]
    bad = judgment_of(row, "t1r1c1", 0.0)
    bad["parts"] = [{"name": HOSTILE, "score": 0.0, "answer": HOSTILE, "tags": {HOSTILE: HOSTILE}}]
    with (folder / "judgments.jsonl").open("w") as file:
        file.write(json.dumps(bad) + "\n")
    item = chapter(compared(folder))
    page = gallery([item], {"sandbox": draw_plots(item, tmp_path / "out")})
    elements = Elements(page).found
    assert "alert(1)" in page
    assert not {"script", "iframe", "object", "link", "base", "form"} & {tag for tag, _ in elements}
    for tag, attributes in elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href", "srcset"):
            assert (attributes.get(name) or "data:").startswith(("data:image/", "data:", "#"))
    policy = next(a["content"] for _, a in elements if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "\x1b" not in page


def test_every_image_has_a_text_alternative_and_every_table_a_name(tmp_path):
    folders = [write_run(tmp_path / n, n, drawn(0.5, 12, 3), images=True) for n in ("loop", "gems")]
    page = gallery([chapter(compared(*folders))])
    elements = Elements(page).found
    assert all(attributes.get("alt") for tag, attributes in elements if tag == "img")
    ids = {attributes.get("id") for _, attributes in elements}
    named = [attributes["aria-labelledby"] for tag, attributes in elements if tag == "table"]
    assert set(named) <= ids
    assert len(named) == len(set(named)) > 3
    assert (
        "meta",
        {"name": "viewport", "content": "width=device-width, initial-scale=1"},
    ) in elements


@pytest.mark.parametrize("file", ["../secret.png", "/etc/passwd", "images/../../secret.png", ""])
def test_a_row_cant_show_a_file_outside_of_its_run(tmp_path, file):
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    (tmp_path / "run").mkdir()
    assert thumbnail(tmp_path / "run", file) == ("", "no image of this run")


def test_a_link_out_of_the_run_is_not_followed(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.png").symlink_to(tmp_path / "secret.png")
    assert thumbnail(tmp_path / "run", "a.png")[0] == ""


def test_an_image_that_cant_be_read_is_said_to_be_so(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    assert thumbnail(tmp_path, "a.png") == ("", "the file can't be read as an image")
    Image.new("1", (9000, 9000)).save(tmp_path / "b.png")
    assert thumbnail(tmp_path, "b.png") == ("", "the image is too large to show")
    Image.new("RGBA", (1000, 500), (255, 0, 0, 10)).save(tmp_path / "c.png")
    assert thumbnail(tmp_path, "c.png")[0].startswith("data:image/webp")


def test_the_pareto_front_is_what_nothing_beats():
    points = {
        "cheap": (1.0, 10.0),
        "beaten": (2.0, 9.0),
        "good": (5.0, 50.0),
        "its equal": (5.0, 50.0),
        "dear": (9.0, 50.0),
        "best": (9.0, 60.0),
    }
    assert pareto(points) == ["cheap", "good", "its equal", "best"]


def test_plots_tell_in_words_what_they_show(tmp_path):
    tags = {f"p{n:03}": {"$cost$": "∑" if n % 2 else "$x$"} for n in range(20)}  # no formulas
    folders = [
        write_run(tmp_path / "single", "single", drawn(0.4, 20, 1), tags=tags, believed=None),
        write_run(tmp_path / "gems", "gems", drawn(0.7, 20, 2), tags=tags, rounds=3),
    ]
    plots = {plot.svg.stem: plot for plot in draw_plots(chapter(compared(*folders)), tmp_path)}
    assert set(plots) == {
        "sandbox-scores",
        "sandbox-score-by-cost",
        "sandbox-by-round",
        "sandbox-by-cost",
        "sandbox-by-part-kind",
    }
    assert re.search(r"single \d+\.\d \[\d+\.\d to \d+\.\d\]; gems", plots["sandbox-scores"].alt)
    assert "gems: " in plots["sandbox-by-round"].alt
    for plot in plots.values():
        with Image.open(plot.png) as image:
            assert image.width > 900
        assert plot.svg.read_text().lstrip().startswith("<?xml")
