"""`gems memory`, through the command's entry point, on an embedded Chroma store."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from command_line import CommandLine

from gems.memory.experiences import EMBEDDED_FIELDS
from gems.memory.store import embedding_model
from gems.memory.store_collection import reindex
from gems.memory.store_factory import location_of
from gems.models.embeddings import LexicalEmbeddings
from gems.settings import get_settings

pytestmark = pytest.mark.integration


def lesson(number, **changes):
    return {
        "id": f"{number:032x}",
        "user": "local",
        "generator": "tiny",
        "task": f"{number} red cubes beside a ball",
        "kinds": ["count"],
        "failed": "There were too many cubes.",
        "remedy": "Say the number first.",
        "skill": "",
        "gain": 0.25,
        "count": 2,
        "uses": 1,
        "wins": 1,
        "created": "2026-01-01T00:00:00+00:00",
        "updated": f"2026-01-0{number}T00:00:00+00:00",
        "relevance": 0.0,
        **changes,
    }


LESSONS = [
    lesson(1),
    lesson(2, task="a portrait of an old fisherman at dawn", kinds=["style"], uses=9, wins=0),
    lesson(3, user="maria", generator="sandbox", task="a sign that says OPEN", kinds=["text"]),
]


@pytest.fixture
def gems(capfd, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("GEMS_EMBEDDINGS", "lexical")
    get_settings.cache_clear()
    run = CommandLine(capfd, monkeypatch)
    file = tmp_path / "lessons.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in LESSONS), encoding="utf-8")
    assert run("memory", "import", file).code == 0
    return run


def ids(done):
    return [one["id"] for one in done.json()]


def test_what_was_imported_is_listed_newest_first_and_exported_alike(gems, tmp_path):
    assert ids(gems("memory", "list", "--json")) == [f"{number:032x}" for number in (3, 2, 1)]
    assert ids(gems("memory", "list", "--user", "maria", "--json")) == [f"{3:032x}"]
    assert len(ids(gems("memory", "list", "--generator", "tiny", "-n", "1", "--json"))) == 1
    told = gems("memory", "list").out
    assert "a portrait of an old fisherman at dawn" in told
    assert "style (silenced)" in told
    exported = [json.loads(line) for line in gems("memory", "export").out.splitlines()]
    assert sorted(exported, key=lambda one: one["id"]) == LESSONS
    assert gems("memory", "export", tmp_path / "maria.jsonl", "--user", "maria").code == 0
    assert json.loads((tmp_path / "maria.jsonl").read_text()) == LESSONS[2]


def test_search_finds_by_likeness_and_show_tells_one(gems):
    found = gems("memory", "search", "three red cubes beside a green ball", "--json").json()
    assert found[0]["id"] == f"{1:032x}"
    assert found[0]["relevance"] > found[-1]["relevance"]
    shown = gems("memory", "show", f"{1:032x}").out
    assert "What helped: Say the number first." in shown
    assert "1 times, 1 of them helped" in shown
    several = gems("memory", "show", "0000")
    assert several.code == 2
    assert "3 lessons begin with" in several.err


def test_forget_one_or_all_of_a_user(gems):
    assert "Forgot 1 lesson." in gems("memory", "forget", f"{1:032x}").err
    assert ids(gems("memory", "list", "--json")) == [f"{3:032x}", f"{2:032x}"]
    for arguments in ([], ["--all"], ["--all", "--user", "local"], ["nothing"]):
        assert gems("memory", "forget", *arguments).code == 2
    assert "Forgot 1 lesson." in gems("memory", "forget", "--all", "--user", "local", "--yes").err
    assert ids(gems("memory", "list", "--json")) == [f"{3:032x}"]


def test_stats_count(gems):
    found = gems("memory", "stats", "--json").json()
    assert (found["lessons"], found["users"], found["silenced"]) == (3, 2, 1)
    assert found["by_generator"] == {"tiny": 2, "sandbox": 1}
    assert "3 lessons of 2 users" in gems("memory", "stats").out


def test_a_file_with_one_bad_line_is_not_imported_at_all(gems, tmp_path):
    file = tmp_path / "bad.jsonl"
    file.write_text(json.dumps(lesson(4)) + "\n{}\n", encoding="utf-8")
    refused = gems("memory", "import", file)
    assert refused.code == 2
    assert "line 2" in refused.err
    assert len(ids(gems("memory", "list", "--json"))) == 3
    assert gems("memory", "import", tmp_path / "none.jsonl").code == 2


class OtherEmbeddings(LexicalEmbeddings):
    """Stands for a model that was set before."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "some-other-model"


def test_another_embedding_model_needs_a_reindex(gems):
    before = embedding_model({"embed": OtherEmbeddings(), "fields": list(EMBEDDED_FIELDS)})
    reindex(location_of(get_settings()), before)
    refused = gems("memory", "list")
    assert refused.code == 1
    assert "some-other-model" in refused.err
    assert "gems memory reindex" in refused.err
    assert "Embedded 3 lessons." in gems("memory", "reindex").err
    assert gems("memory", "search", "a fisherman", "--json").json()[0]["id"] == f"{2:032x}"


def test_a_second_process_is_told_how_several_can_share(gems, tmp_path):
    held = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from gems.memory.store_factory import make_store\n"
            "store = make_store(); print('open', flush=True); input(); store.close()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert held.stdout is not None
    assert held.stdout.readline() == "open\n"
    refused = gems("memory", "list")
    held.communicate("\n", timeout=60)
    assert refused.code == 1
    assert "chroma run" in refused.err
    assert len(ids(gems("memory", "list", "--json"))) == 3
