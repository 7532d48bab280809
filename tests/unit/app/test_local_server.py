"""What the server of `gems ui` is told, so that it means the same as the command that starts it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from gems.app.local_server import PORT, _choose, configuration, environment
from gems.errors import InputError
from gems.settings import Settings


def test_relative_paths_mean_the_folder_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("GEMS_ARTIFACTS=images\nGEMS_SEEN=written\nGEMS_MLLM=x:y\n")
    (tmp_path / ".gems" / "skills").mkdir(parents=True)
    monkeypatch.setenv("GEMS_API_KEYS_FILE", "keys.jsonl")
    monkeypatch.setenv("GEMS_SKILLS_PATH", os.pathsep.join(["mine", "/srv/skills"]))
    monkeypatch.setenv("GEMS_MLLM", "sandbox")
    found = environment(Settings(), tmp_path, os.environ)
    assert found["GEMS_DATA_DIR"] == str(tmp_path / "data")
    assert found["GEMS_ARTIFACTS"] == str(tmp_path / "images")
    assert found["GEMS_API_KEYS_FILE"] == str(tmp_path / "keys.jsonl")
    assert found["GEMS_SKILLS_PATH"].split(os.pathsep) == [
        str(tmp_path / ".gems" / "skills"),
        str(tmp_path / "mine"),
        "/srv/skills",
    ]
    assert (found["GEMS_SEEN"], found["GEMS_MLLM"]) == ("written", "sandbox")


@pytest.mark.parametrize("place", ["s3://bucket/images", "memory://images"])
def test_addresses_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("GEMS_ARTIFACTS", place)
    monkeypatch.setenv("GEMS_STORE", "http://127.0.0.1:8000")
    found = environment(Settings(), tmp_path, os.environ)
    assert found["GEMS_ARTIFACTS"] == place
    assert found["GEMS_STORE"] == "http://127.0.0.1:8000"


def test_the_configuration_is_the_packages_own() -> None:
    config = configuration()
    assert set(config["graphs"]) == {"gems", "generate_image"}
    assert config["auth"]["path"] == "gems.app.auth:auth"
    assert config["http"]["app"] == "gems.app.http:app"
    assert "env" not in config
    assert config["dependencies"] == ["."]


def test_a_port_that_is_taken_is_said_when_it_was_asked_for() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(InputError, match=f"{taken} is taken"):
            _choose(taken)
    assert _choose(None) in (PORT, *range(1024, 65536))
