"""The command `gems`, through its real entry point."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

GEMS = Path(sys.executable).with_name("gems")


def gems(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [GEMS, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )


def test_generate_prints_the_path_and_the_ticks(tmp_path):
    done = gems("generate", "a red ball", "--seed", "1", "--size", "256", "--out", "ball.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "ball.png"
    assert (tmp_path / "ball.png").read_bytes().startswith(b"\x89PNG")
    assert "✓ Is the ball red?" in done.stderr
    assert "simulation" in done.stderr
    kept = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.is_file()}
    assert kept == {"ball.png", "data"}


def test_json_is_one_document_and_nothing_else():
    done = gems("generate", "two blue stars", "--seed", "2", "--size", "256", "--json")
    document = json.loads(done.stdout)
    assert {
        "image",
        "score",
        "stopped_because",
        "requirements",
        "attempts",
        "usage",
        "thread_id",
        "seed",
    } <= set(document)
    assert document["seed"] == 2
    assert Path(document["image"]["path"]).is_file()
    assert all("verdict" in item for item in document["requirements"])


def test_the_same_seed_makes_the_same_image():
    one, other = (
        json.loads(
            gems(
                "generate", "a green cup above a house", "--seed", "5", "--size", "256", "--json"
            ).stdout
        )
        for _ in range(2)
    )
    # The bytes differ by the thread's name in the provenance; what was drawn does not.
    assert [a["seed"] for a in one["attempts"]] == [a["seed"] for a in other["attempts"]]
    assert [a["prompt"] for a in one["attempts"]] == [a["prompt"] for a in other["attempts"]]
    assert one["score"] == other["score"]


def test_unmet_requirements_exit_with_3():
    done = gems(
        "generate",
        "a red ball",
        "-q",
        "Is the ball green?",
        "--rounds",
        "1",
        "--quiet",
        "--size",
        "256",
    )
    assert done.returncode == 3
    assert Path(done.stdout.strip()).is_file()
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["generate", "a cat", "--rounds", "0"], "max_rounds"),
        (["generate", "a cat", "--size", "huge"], "--size"),
        (["generate", "a cat", "--size", "17"], "width"),
        (["generate", "a cat", "--skills", "no-such-skill"], "no-such-skill"),
        (["generate", "a cat", "--generator", "paintbrush"], "paintbrush"),
        (["generate", "a cat", "--mllm", "openai:gpt-5"], "OPENAI_API_KEY"),
        (["generate", "a cat", "--out", "no/such/folder/x.png"], "no/such/folder"),
        (["generate", "  "], "no prompt"),
        (["generate"], "prompt"),
        (["generate", "a cat", "--no-such-option"], "--no-such-option"),
        (["threads", "resume", "nobody"], "nobody"),
    ],
)
def test_a_persons_mistake_gets_a_message_and_exit_code_2(arguments, says):
    done = gems(*arguments)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_generator_that_can_not_be_reached_fails_with_one_clear_error():
    done = gems("generate", "a cat", "--generator", "http:http://127.0.0.1:9")
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


def test_things_that_can_not_be_drawn_are_named_with_the_way_out():
    done = gems("generate", "a dragon riding a bicycle", "--rounds", "1", "--size", "256")
    assert done.returncode == 3
    assert re.search("Note:.*dragon.*bicycle", done.stderr)
    assert "GEMS_MLLM" in done.stderr
    assert "GEMS_GENERATOR" in done.stderr


def test_ctrl_c_keeps_the_best_image_and_the_run_goes_on_later():
    never = ["-q", "Is the ball green?", "--rounds", "8", "--seed", "1", "--size", "256"]
    run = subprocess.Popen(
        [GEMS, "generate", "a red ball", *never],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stderr is not None
    first = run.stderr.readline()
    assert "round 1" in first
    run.send_signal(signal.SIGINT)
    _, rest = run.communicate(timeout=60)
    assert run.returncode == 130
    kept = re.search(r"best image so far: (\S+)", rest)
    assert kept is not None
    assert Path(kept[1]).is_file()
    thread = re.search(r"gems threads resume (\S+)", rest)
    assert thread is not None
    done = gems("threads", "resume", thread[1], "--json")
    document = json.loads(done.stdout)
    assert document["stopped_because"] == "max_rounds"
    assert [a["round"] for a in document["attempts"]] == list(range(1, 9))


def test_doctor_says_what_is_configured_and_how_to_get_the_rest(monkeypatch):
    done = gems("doctor")
    assert done.returncode == 0
    assert "GEMS_MLLM=" in done.stdout
    assert "GEMS_GENERATOR=" in done.stdout
    monkeypatch.setenv("GEMS_GENERATOR", "http:http://127.0.0.1:9")
    monkeypatch.setenv("GEMS_MLLM", "openai:small")
    monkeypatch.setenv("GEMS_MLLM_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("GEMS_MLLM_API_KEY", "sk-very-secret")
    broken = gems("doctor")
    assert broken.returncode == 1
    assert broken.stdout.count("can't be reached") == 2
    assert "very-secret" not in broken.stdout + broken.stderr


def test_graph_prints_the_drawing_and_version_the_version():
    from gems.graph.build import build_graph

    assert gems("graph").stdout == build_graph().get_graph().draw_mermaid()
    assert "skill_tools" in gems("graph", "--nested").stdout
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", gems("version").stdout)


def test_help_teaches():
    assert "gems generate 'three red cubes" in gems("--help").stdout
    assert "Exit code" in gems("generate", "--help").stdout
