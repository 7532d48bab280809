"""Making, checking, installing and removing skills."""

from __future__ import annotations

import io
import stat
import subprocess
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skills_ref import validate as reference_validate

from gems.errors import SkillError
from gems.skills import fetching
from gems.skills.authoring import add_skill, new_skill, remove_skill, validate

from .skill_folders import make_skill, skill_text


def archive(path: Path, entries: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return path


def test_a_new_skill_is_valid_and_can_be_removed(tmp_path: Path) -> None:
    folder = new_skill("my-skill", tmp_path)
    skill, problems = validate(folder)
    assert skill is not None
    assert (skill.name, problems) == ("my-skill", ())
    assert reference_validate(folder) == []
    with pytest.raises(SkillError, match="already"):
        new_skill("my-skill", tmp_path)
    assert remove_skill("my-skill", folder=tmp_path) == folder
    assert not folder.exists()


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "a b", "x" * 65, "../../etc"])
def test_a_bad_name_makes_and_removes_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(SkillError):
        new_skill(name, tmp_path / "skills")
    with pytest.raises(SkillError):
        remove_skill(name, folder=tmp_path / "skills")
    assert list(tmp_path.iterdir()) == []


def test_validate_reports_what_the_loader_would(tmp_path: Path) -> None:
    folder = make_skill(tmp_path, "one")
    (folder / "SKILL.md").write_text("---\nname: two\ndescription: x\n---\n")
    skill, problems = validate(folder / "SKILL.md")
    assert skill is None
    assert problems[0].line == 2
    with pytest.raises(SkillError, match="no folder"):
        validate(tmp_path / "nowhere")


def test_a_folder_is_installed_as_plain_files(tmp_path: Path) -> None:
    origin = make_skill(tmp_path / "from", "one", files={"scripts/a.sh": "#!/bin/sh"})
    (origin / "scripts" / "a.sh").chmod(0o755)
    (origin / ".git").mkdir()
    (origin / ".git" / "config").write_text("secret")
    (skill,) = add_skill(origin, into=tmp_path / "to")
    assert skill.folder == tmp_path / "to" / "one"
    assert skill.files == ("scripts/a.sh",)
    assert not (skill.folder / ".git").exists()
    assert not (skill.folder / "scripts" / "a.sh").stat().st_mode & stat.S_IXUSR
    assert [item.name for item in (tmp_path / "to").iterdir()] == ["one"]


def test_an_installed_skill_is_replaced_only_when_asked(tmp_path: Path) -> None:
    origin = make_skill(tmp_path / "from", "one")
    add_skill(origin, into=tmp_path / "to")
    (origin / "SKILL.md").write_text(skill_text("one", body="New."))
    with pytest.raises(SkillError, match="installed already"):
        add_skill(origin, into=tmp_path / "to")
    (skill,) = add_skill(origin, into=tmp_path / "to", replace=True)
    assert skill.instructions == "New."
    assert [item.name for item in (tmp_path / "to").iterdir()] == ["one"]


def test_the_default_place_is_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (skill,) = add_skill(make_skill(tmp_path / "from", "one"))
    assert skill.source == "user"
    assert skill.folder == tmp_path / ".gems" / "skills" / "one"


def test_nothing_is_installed_when_one_of_several_is_broken(tmp_path: Path) -> None:
    make_skill(tmp_path / "from", "one")
    broken = make_skill(tmp_path / "from", "two")
    (broken / "SKILL.md").write_text("nothing")
    with pytest.raises(SkillError, match="can't be used"):
        add_skill(tmp_path / "from", into=tmp_path / "to")
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("inner", ["", "one/", "repository-main/", "repository-main/skills/one/"])
def test_a_zip_is_installed_wherever_the_skill_lies_in_it(tmp_path: Path, inner: str) -> None:
    path = archive(tmp_path / "download.zip", {f"{inner}SKILL.md": skill_text("one")})
    (skill,) = add_skill(path, into=tmp_path / "to")
    assert skill.name == "one"


@pytest.mark.parametrize(
    "name",
    [
        "../evil.md",
        "one/../../evil.md",
        "/evil.md",
        "one\\..\\evil.md",
        "C:evil.md",
        "c:/evil.md",
    ],
)
def test_a_zip_cannot_write_elsewhere(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "a.zip", {"one/SKILL.md": skill_text("one"), name: "evil"})
    with pytest.raises(SkillError, match="unsafe path"):
        add_skill(path, into=tmp_path / "to")
    assert not list(tmp_path.rglob("evil*"))


@given(
    st.lists(
        st.sampled_from(["..", ".", "", "a", "\\", "C:", "~", "SKILL.md"]), min_size=1, max_size=6
    )
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_zip_path_escapes(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    root = tmp_path_factory.mktemp("zip")
    path = archive(root / "a.zip", {"/".join(parts) or "x": "evil"})
    before = set(root.parent.iterdir())
    with pytest.raises(SkillError):
        add_skill(path, into=root / "to")
    assert set(root.iterdir()) == {path}
    assert set(root.parent.iterdir()) == before


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("one/SKILL.md", skill_text("one"))
        link = zipfile.ZipInfo("one/link.md")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, "/etc/passwd")
    with pytest.raises(SkillError, match="link"):
        add_skill(path, into=tmp_path / "to")


def test_a_zip_bomb_and_a_damaged_zip_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "MAX_UNPACKED_BYTES", 100_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("one/SKILL.md", skill_text("one"))
        file.writestr("one/a.md", b"0" * 1_000_000)
    with pytest.raises(SkillError, match="too many bytes"):
        add_skill(tmp_path / "bomb.zip", into=tmp_path / "to")
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("one/SKILL.md", skill_text("one"))
    damaged = data.getvalue().replace(b"Do it.", b"Do IT.")
    (tmp_path / "damaged.zip").write_bytes(damaged)
    with pytest.raises(SkillError, match="can't be unpacked"):
        add_skill(tmp_path / "damaged.zip", into=tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_too_many_files_or_a_link_in_a_folder_are_refused(tmp_path: Path) -> None:
    many = make_skill(tmp_path, "many", files={f"{n}.md": "x" for n in range(300)})
    with pytest.raises(SkillError, match="files"):
        add_skill(many, into=tmp_path / "to")
    linked = make_skill(tmp_path, "linked")
    (linked / "a.md").symlink_to("/etc/passwd")
    with pytest.raises(SkillError, match="link"):
        add_skill(linked, into=tmp_path / "to")


@pytest.mark.integration
def test_a_git_repository_is_cloned_without_its_history_or_hooks(tmp_path: Path) -> None:
    origin = make_skill(tmp_path / "origin" / "skills", "one")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.test"]
    root = tmp_path / "origin"
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], cwd=root, check=True)
    (skill,) = add_skill(f"git+file://{root}", into=tmp_path / "to")
    assert skill.instructions == "Do it."
    assert not (skill.folder / ".git").exists()
    assert origin.exists()


@pytest.mark.parametrize(
    "origin",
    [
        "git+ext::sh -c touch% evil",
        "git+--upload-pack=touch evil",
        "https://user:hunter2@127.0.0.1:9/x",
    ],
)
def test_a_git_address_runs_nothing_and_shows_no_password(tmp_path: Path, origin: str) -> None:
    with pytest.raises(SkillError) as caught:
        add_skill(origin, into=tmp_path / "to")
    assert "hunter2" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("x")
    for origin in (tmp_path / "file.txt", tmp_path / "nowhere", tmp_path):
        with pytest.raises(SkillError):
            add_skill(origin, into=tmp_path / "to")


def test_the_gems_format_is_installed_and_removed_by_its_new_name(tmp_path: Path) -> None:
    origin = tmp_path / "from" / "my_drawing"
    origin.mkdir(parents=True)
    (origin / "SKILL.md").write_text("# Skill: X\n## Description\nA\n## Instructions\nB\n")
    make_skill(tmp_path / "to", "my-drawing")
    with pytest.raises(SkillError, match="installed already"):
        add_skill(origin, into=tmp_path / "to")
    (skill,) = add_skill(origin, into=tmp_path / "to", replace=True)
    assert (skill.name, skill.folder.name) == ("my-drawing", "my_drawing")
    assert len(list((tmp_path / "to").iterdir())) == 1
    remove_skill("my-drawing", folder=tmp_path / "to")
    assert not list((tmp_path / "to").iterdir())


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "to").write_text("a file, not a folder")
    with pytest.raises(SkillError):
        add_skill(make_skill(tmp_path / "from", "one"), into=tmp_path / "to")
    with pytest.raises(SkillError):
        new_skill("one", tmp_path / "to")
