"""`gems skills …`: through the real entry point, and in process where a test brings the model."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from typer.testing import CliRunner

from gems.models.chat import register_chat_model

pytestmark = pytest.mark.integration

GEMS = Path(sys.executable).with_name("gems")
HARD = "three red cubes to the left of a blue ball, under a sign that says OPEN"
SKILL = "---\nname: {name}\ndescription: Draws {name}. Use when asked.\n---\n\nDo it {name}.\n"


def skills(*arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [GEMS, "skills", *arguments],
        input=answer,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )


def write_skill(folder: Path, text: str = "", **files: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text(text or SKILL.format(name=folder.name), "utf-8")
    for path, content in files.items():
        (folder / path).write_text(content, "utf-8")
    return folder


def run_thread(prompt: str, seed: int) -> str:
    done = subprocess.run(
        [GEMS, "generate", prompt, "--seed", str(seed), "--size", "256", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return str(json.loads(done.stdout)["thread_id"])


def test_list_says_where_skills_come_from_what_they_hide_and_what_is_broken(tmp_path):
    own = write_skill(tmp_path / ".gems" / "skills" / "counting")
    broken = write_skill(tmp_path / ".gems" / "skills" / "odd", "---\nname: other\n---\n")
    done = skills("list")
    assert done.returncode == 0
    assert re.search(r"^counting +project +Draws counting", done.stdout, re.MULTILINE)
    assert re.search(r"hides builtin .*counting/SKILL.md", done.stdout)
    assert f"{broken / 'SKILL.md'}:2:" in done.stderr
    document = json.loads(skills("list", "--json").stdout)
    by_name = {item["name"]: item for item in document["skills"]}
    assert by_name["counting"]["file"] == str(own / "SKILL.md")
    assert by_name["counting"]["hides"][0]["source"] == "builtin"
    assert by_name["spatial-layout"]["source"] == "builtin"
    assert [(item["line"], item["skipped"]) for item in document["problems"]] == [(2, True)]


def test_show_prints_instructions_and_files_without_their_control_characters(tmp_path):
    folder = write_skill(tmp_path / ".gems" / "skills" / "plain", note="safe \x1b[2Jafter\u202e")
    done = skills("show", "plain")
    assert "Do it plain." in done.stdout
    assert "holds: note" in done.stdout
    assert skills("show", "plain", "note").stdout == "safe \\x1b[2Jafter\\u202e\n"
    document = json.loads(skills("show", "plain", "--json").stdout)
    assert document["text"] == "Do it plain."
    outside = skills("show", "plain", "../../../secret")
    assert outside.returncode == 2
    assert folder.is_dir()


def test_new_validate_add_and_remove_are_the_way_of_a_skill(tmp_path):
    made = skills("new", "my-skill", "--dir", "drafts")
    assert made.returncode == 0
    folder = tmp_path / made.stdout.strip()
    assert skills("validate", str(folder)).returncode == 0
    added = skills("add", str(folder), answer="y\n")
    assert added.returncode == 0, added.stderr
    installed = tmp_path / "home" / ".gems" / "skills" / "my-skill"
    assert added.stdout.strip() == str(installed)
    assert (installed / "references" / "sources.md").is_file()
    again = skills("add", str(folder), "--yes")
    assert again.returncode == 2
    assert "installed already" in again.stderr
    assert skills("add", str(folder), "--yes", "--replace").returncode == 0
    removed = skills("remove", "my-skill", "--yes")
    assert removed.returncode == 0
    assert not installed.exists()


def test_validate_names_file_and_line_and_exits_with_1(tmp_path):
    good = write_skill(tmp_path / "good")
    bad = write_skill(tmp_path / "bad", "---\nname: bad\nlicense: none\n---\n")
    done = skills("validate", str(good), str(bad / "SKILL.md"))
    assert done.returncode == 1
    assert f"{bad / 'SKILL.md'}:1: Required field 'description' is missing." in done.stdout
    assert f"{good / 'SKILL.md'}: valid" in done.stdout


def test_add_shows_what_a_zip_holds_and_installs_nothing_without_a_yes(tmp_path):
    with zipfile.ZipFile(tmp_path / "gift.zip", "w") as archive:
        archive.writestr("counting/SKILL.md", SKILL.format(name="counting"))
        archive.writestr("counting/scripts/run.sh", "touch ran")
    shown = skills("add", "gift.zip", answer="n\n")
    assert shown.returncode == 1
    assert "Draws counting" in shown.stderr
    assert "scripts/run.sh (a script: it is never run)" in shown.stderr
    assert "hides the skill of that name from builtin" in shown.stderr
    silent = skills("add", "gift.zip")
    assert silent.returncode == 2
    assert "--yes" in silent.stderr
    assert not (tmp_path / "home" / ".gems").exists()
    assert not (tmp_path / "ran").exists()
    assert skills("add", "gift.zip", "--yes", "--project").returncode == 0
    assert (tmp_path / ".gems" / "skills" / "counting" / "SKILL.md").is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "countng"], "Did you mean counting"),
        (["show", "no-such"], "gems skills list"),
        (["new", "Bad Name"], "lower case"),
        (["remove", "counting", "--yes"], "Built-in"),
        (["validate", "nowhere"], "nowhere"),
        (["try", "no-such", "a cat"], "no-such"),
        (["learn"], "--from"),
        (["learn", "--from", "nobody"], "nobody"),
        (["learn", "--from", "x", "--out", ".gems/skills"], "loaded by themselves"),
        (["route", "--prompts", "nowhere.jsonl"], "nowhere.jsonl"),
        (["route", "--skills", "counting"], "spatial-layout"),
    ],
)
def test_a_persons_mistake_gets_a_message_and_exit_code_2(arguments, says, monkeypatch, capsys):
    from gems.app.cli import main

    monkeypatch.setattr(sys, "argv", ["gems", "skills", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert ended.value.code == 2, told.err
    assert says in " ".join(told.err.split())


def test_try_in_the_sandbox_says_that_its_planner_does_not_read_skills():
    done = skills("try", "counting", "a red ball", "--seed", "1", "--size", "256")
    assert done.returncode == 0, done.stderr
    assert "did not load 'counting': that is the model's choice" in done.stdout
    assert "does not read them" in done.stdout
    paths = re.findall(r"^with(?:out)?: (\S+\.png)$", done.stdout, re.MULTILINE)
    assert len(paths) == 2
    assert all(Path(path).is_file() for path in paths)


def in_process(*arguments: str) -> Any:
    from gems.app.cli import app

    return CliRunner().invoke(app, ["skills", *arguments], catch_exceptions=False)


def test_try_shows_both_prompts_and_what_the_skill_changed(world, tmp_path):
    draft = write_skill(tmp_path / "drafts" / "hats")
    world.script.skills = ["hats"] * 2
    world.script.plan = lambda number: ["a cat"] if number == 1 else ["a black cat in a hat"]
    answers = iter(["yes", "no", "no", "yes", "yes", "yes"])
    world.script.verdict = lambda question, round_: next(answers)
    where = ("try", str(draft), "a cat", "--mllm", "scripted", "--generator", "tiny")
    document = json.loads(in_process(*where, "--json", "--seed", "5").stdout)
    assert document["taken"] is True
    assert document["without"]["prompt"] == "a cat"
    assert document["with"]["prompt"] == "a black cat in a hat"
    assert document["without"]["score"] < document["with"]["score"] == 1.0
    # One list of questions for both, the same seed, nothing but the skill differs.
    assert world.script.calls["decomposer"] == 1
    assert len(document["requirements"]) == 3
    first, second = world.generator.requests
    assert first.seed == second.seed
    # Planned once without it, and with it once to load it and once to write.
    planned = [text for role, text in world.script.heard if role == "planner"]
    assert ["Do it hats." in text for text in planned] == [False, False, True]

    world.script.calls.clear()
    answers = iter(["yes", "no", "no", "yes", "yes", "yes"])
    text = in_process(*where).stdout
    assert "a {+black +}cat{+ in a hat+}" in text
    assert "did not load" not in text


def test_learn_drafts_a_skill_from_runs_and_installs_nothing(tmp_path, monkeypatch):
    # The second run must not know what the first one learned, or it has nothing to repair.
    monkeypatch.setenv("GEMS_STORE", "memory:")
    threads = [run_thread(HARD, seed) for seed in (1, 3)]
    done = skills("learn", "--from", threads[0], threads[1], "--name", "learned-here")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / done.stdout.strip()
    assert folder == tmp_path / "skill-drafts" / "learned-here"
    text = (folder / "SKILL.md").read_text("utf-8")
    for thread in threads:
        assert f"{thread}/t1r" in text
    assert "A draft, not yet edited" in text
    assert "installed nowhere" in done.stderr
    assert "must edit" in done.stderr
    assert skills("validate", str(folder)).returncode == 0
    names = [item["name"] for item in json.loads(skills("list", "--json").stdout)["skills"]]
    assert "learned-here" not in names
    added = skills("add", str(folder))
    assert "a draft that nobody has edited" in added.stderr


class Drafter(BaseChatModel):
    """Answers with a draft of its own, and keeps what it was asked."""

    asked: list[str] = []  # noqa: RUF012 - a pydantic field, copied for each model

    @property
    def _llm_type(self) -> str:
        return "drafter"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
        self.asked.append(messages[-1].text)
        draft = {
            "name": "say-colours-alone",
            "description": "States each colour in a sentence of its own. Use when …",
            "idea": "Colours drift.",
            "rules": [{"rule": "One sentence for each colour.", "evidence": [1, 99]}],
            "failure_signs": ["Colours are swapped."],
        }
        message = AIMessage(json.dumps(draft))
        return ChatResult(generations=[ChatGeneration(message=message)])


def test_learn_lets_a_model_word_the_draft_from_the_evidence(tmp_path):
    drafter = Drafter()
    register_chat_model("drafter", drafter)
    thread = run_thread(
        "three red cubes to the left of a blue ball, under a sign that says OPEN", 1
    )
    done = in_process("learn", "--from", thread, "--mllm", "drafter")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "skill-drafts" / "say-colours-alone" / "SKILL.md").read_text("utf-8")
    assert "- One sentence for each colour. (E1)" in text
    assert "drafted-by: drafter" in text
    assert f"{thread}/t1r1c1" in text
    assert "<evidence>" in drafter.asked[0]
    assert "[1] " in drafter.asked[0]


def test_route_scores_a_labelled_set(tmp_path):
    rows = [
        {"prompt": "a labelled diagram of a flow chart with arrows", "skills": ["infographics"]},
        {"prompt": "a cat", "skills": [], "near": ["counting"], "note": "plain"},
    ]
    Path("own.jsonl").write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    done = skills("route", "--prompts", "own.jsonl", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["mllm"] == "sandbox"
    assert document["exact"]["value"] == 1.0
    assert [item["loaded"] for item in document["cases"]] == [["infographics"], []]
    table = skills("route", "--limit", "6")
    assert "exactly the right skills" in table.stdout
    assert "precision" in table.stdout
