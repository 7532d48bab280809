"""Sources, overriding, broken skills, changes on disk, and files that must not be reached."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gems.errors import SkillError
from gems.settings import get_settings
from gems.skills.folder import MAX_FILE_BYTES, MAX_SKILL_BYTES
from gems.skills.loader import SkillLibrary, SkillSource, default_sources, load_library

from .skill_folders import make_skill, skill_text


def library_of(*folders: Path) -> SkillLibrary:
    return load_library([SkillSource("user", folder) for folder in folders])


def test_sources_come_in_order_and_later_ones_override(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, project, extra = tmp_path / "home", tmp_path / "project", tmp_path / "extra"
    for place in (home / ".gems" / "skills", project / ".gems" / "skills", extra):
        make_skill(place, "counting", description=f"From {place.name}.", body=str(place))
    make_skill(home / ".gems" / "skills", "mine")
    single = make_skill(tmp_path, "single")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GEMS_SKILLS_PATH", os.pathsep.join([str(extra), str(single)]))
    monkeypatch.chdir(project)
    get_settings.cache_clear()
    try:
        library = load_library()
    finally:
        get_settings.cache_clear()
    assert library.skills["counting"].instructions == str(extra)
    assert library.skills["mine"].source == "user"
    assert library.skills["single"].source == "path"
    hidden = [(item.skill.source, item.by.source) for item in library.hidden]
    assert hidden == [("builtin", "user"), ("user", "project"), ("project", "path")]
    assert "spatial-layout" in library.skills
    assert library.problems == ()


def test_a_broken_skill_is_reported_with_file_and_line_and_takes_no_other_down(
    tmp_path: Path,
) -> None:
    make_skill(tmp_path, "good")
    bad = make_skill(tmp_path, "bad")
    (bad / "SKILL.md").write_text("---\nname: bad\ndescription: a: b\n---\n", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    binary = make_skill(tmp_path, "binary")
    (binary / "SKILL.md").write_bytes(b"---\nname: binary\n\xff\x00")
    large = make_skill(tmp_path, "large")
    (large / "SKILL.md").write_text(skill_text("large", body="x" * MAX_SKILL_BYTES))
    library = library_of(tmp_path)
    assert list(library.skills) == ["good"]
    found = {(problem.file.parent.name, problem.line) for problem in library.problems}
    assert {("bad", 3), ("binary", 1), ("large", 1)} <= found
    assert len(library.problems) == 4
    assert str(bad / "SKILL.md") + ":3: Invalid YAML" in str(library.problems[0])


def test_a_missing_path_that_was_asked_for_is_a_problem(tmp_path: Path) -> None:
    library = load_library([SkillSource("path", tmp_path / "nowhere", required=True)])
    assert "can't be read" in library.problems[0].message
    assert load_library([SkillSource("user", tmp_path / "nowhere")]).problems == ()


def test_changes_on_disk_are_seen_and_nothing_is_read_again_without_one(tmp_path: Path) -> None:
    folder = make_skill(tmp_path, "one")
    first = library_of(tmp_path)
    assert library_of(tmp_path) is first
    (folder / "references").mkdir()
    (folder / "references" / "more.md").write_text("more")
    second = library_of(tmp_path)
    assert second.skills["one"].files == ("references/more.md",)
    (folder / "SKILL.md").write_text(skill_text("one", body="Do something else."))
    make_skill(tmp_path, "two")
    third = library_of(tmp_path)
    assert third.skills["one"].instructions == "Do something else."
    assert third.skills["one"].digest != second.skills["one"].digest
    assert set(third.skills) == {"one", "two"}
    (tmp_path / "two" / "SKILL.md").unlink()
    assert set(library_of(tmp_path).skills) == {"one"}


def test_many_working_folders_do_not_make_one_be_read_again(tmp_path: Path) -> None:
    for number in range(20):
        make_skill(tmp_path / f"place-{number}", "one")
        first = library_of(tmp_path / f"place-{number}")
        assert library_of(tmp_path / f"place-{number}") is first


def test_a_thousand_skills_load_and_reload_quickly(tmp_path: Path) -> None:
    for number in range(1000):
        make_skill(tmp_path, f"skill-{number}", files={"references/a.md": "a"})
    library = library_of(tmp_path)
    assert len(library.skills) == 1000
    started = time.perf_counter()
    assert library_of(tmp_path) is library
    assert time.perf_counter() - started < 2  # a fifth of that on an idle machine
    assert len(library.manifest(budget_chars=500)) <= 500


# --- files ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> SkillLibrary:
    root = tmp_path_factory.mktemp("guarded")
    (root / "secret.txt").write_text("TOP SECRET")
    folder = make_skill(
        root / "skills", "one", files={"references/a.md": "fine", "scripts/run.sh": "echo"}
    )
    (folder / ".env").write_text("TOP SECRET")
    (folder / "link.md").symlink_to(root / "secret.txt")
    (folder / "linked").symlink_to(root)
    (folder / "binary.bin").write_bytes(b"\x00\x01")
    (folder / "latin.txt").write_bytes("ä".encode("latin-1"))
    (folder / "large.md").write_text("x" * (MAX_FILE_BYTES + 1))
    return library_of(root / "skills")


def test_files_are_listed_without_links_and_hidden_ones(guarded: SkillLibrary) -> None:
    skill = guarded.skills["one"]
    assert skill.files == (
        "binary.bin",
        "large.md",
        "latin.txt",
        "references/a.md",
        "scripts/run.sh",
    )
    assert skill.scripts == ("scripts/run.sh",)
    assert guarded.read_file("one", "references/a.md") == "fine"
    assert guarded.read_file("one", "./references/a.md") == "fine"


ESCAPES = [
    "../../secret.txt",
    "references/../../../secret.txt",
    "/etc/passwd",
    "link.md",
    "linked/secret.txt",
    "..%2f..%2fsecret.txt",
    "%2e%2e/%2e%2e/secret.txt",
    "..\\..\\secret.txt",
    "C:\\Windows\\win.ini",
    "C:secret.txt",
    "\\\\host\\share",
    "file:///etc/passwd",
    "~/.ssh/id_rsa",
    "$HOME/.bashrc",
    "references/a.md\x00.txt",
    "．．/．．/secret.txt",
    ".env",
    "",
    ".",
    "references",
    "references/",
    "SKILL.md/../../secret.txt",
]


@pytest.mark.parametrize("path", ESCAPES)
def test_a_path_cannot_leave_the_folder(guarded: SkillLibrary, path: str) -> None:
    with pytest.raises(SkillError) as caught:
        guarded.read_file("one", path)
    assert "SECRET" not in str(caught.value)


PARTS = st.sampled_from(
    [
        "..",
        ".",
        "/",
        "\\",
        "secret.txt",
        "references",
        "a.md",
        "linked",
        "%2e%2e",
        "~",
        "C:",
        "\x00",
        "",
    ]
)


@given(st.one_of(st.lists(PARTS, max_size=8).map("/".join), st.text(max_size=40)))
@example("linked/skills/one/references/a.md")
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_path_gives_a_listed_file_or_an_error(guarded: SkillLibrary, path: str) -> None:
    try:
        text = guarded.read_file("one", path)
    except SkillError:
        return
    assert path.removeprefix("./") in guarded.skills["one"].files
    assert text != "TOP SECRET"


@pytest.mark.parametrize(
    ("path", "why"),
    [("binary.bin", "binary"), ("latin.txt", "UTF-8"), ("large.md", "larger")],
)
def test_only_text_of_a_sensible_size_is_read(guarded: SkillLibrary, path: str, why: str) -> None:
    with pytest.raises(SkillError, match=why):
        guarded.read_file("one", path)


def test_a_file_swapped_for_a_link_or_a_pipe_after_listing_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("TOP SECRET")
    folder = make_skill(
        tmp_path / "skills", "one", files={"a.md": "a", "b.md": "b", "sub/c.md": "c"}
    )
    library = library_of(tmp_path / "skills")
    for name in ("a.md", "b.md"):
        (folder / name).unlink()
    (folder / "a.md").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(folder / "b.md")
    (folder / "sub").rename(tmp_path / "moved")
    (folder / "sub").symlink_to(tmp_path / "moved")
    for path in ("a.md", "b.md", "sub/c.md"):
        with pytest.raises(SkillError):
            library.read_file("one", path)


def test_a_linked_skill_file_or_a_linked_folder_in_a_project_is_not_followed(
    tmp_path: Path,
) -> None:
    outside = make_skill(tmp_path / "outside", "one")
    project = tmp_path / "project"
    make_skill(project, "two")
    (project / "one").symlink_to(outside)
    (project / "two" / "SKILL.md").rename(tmp_path / "kept.md")
    (project / "two" / "SKILL.md").symlink_to(tmp_path / "kept.md")
    library = load_library([SkillSource("project", project)])
    assert library.skills == {}
    assert len(library.problems) == 2
    # a person may link a folder into the library of their own
    assert "one" in library_of(project).skills


def test_an_unknown_name_gets_a_hint(tmp_path: Path) -> None:
    make_skill(tmp_path, "counting")
    with pytest.raises(SkillError, match="Did you mean counting"):
        library_of(tmp_path).get("countin")


def test_the_manifest_shows_one_visible_line_for_each_skill(tmp_path: Path) -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
    make_skill(tmp_path, "one", description=f">-\n  First line.\n\n  Second{hidden} line.")
    make_skill(tmp_path, "two")
    library = library_of(tmp_path)
    assert library.manifest(["two", "one", "three"]).split("\n") == [
        "- two: Does a thing. Use when needed.",
        "- one: First line. Second line.",
    ]


def test_no_home_and_no_working_folder_leave_the_built_in_skills(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", gone)
    monkeypatch.setattr(Path, "cwd", gone)
    assert [source.source for source in default_sources()][:1] == ["builtin"]
    assert "counting" in load_library().skills
