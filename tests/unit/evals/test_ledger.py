"""The run's files: a line is whole or not there, whatever a kill does to the last one."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gems.errors import InputError
from gems.evals.errors import DataError
from gems.evals.ledger import (
    open_ledger,
    part_name,
    read_judgments,
    read_manifest,
    read_rows,
    replace_file,
)


def row(key: str, status: str = "done", finished: str = "2026-01-01T00:00:00", **more):
    return {"key": key, "item": key, "status": status, "finished": finished, **more}


def judgment(key: str, status: str = "done", **more):
    return {"key": key, "attempt": "t1r1c1", "judge": "j", "status": status, **more}


async def write(out, stem, *records, shard=(1, 1)):
    with open_ledger(out, stem, shard) as ledger:
        for record in records:
            await ledger.append(record)


async def test_the_last_row_of_a_key_counts(tmp_path):
    await write(tmp_path, "results", row("a", "failed"), row("b"), row("a", note=2))
    await write(tmp_path, "results", row("b", "failed"))
    rows = read_rows(tmp_path)
    assert rows["a"]["note"] == 2
    assert rows["b"]["status"] == "failed"


async def test_shards_are_read_together_and_a_finished_row_wins(tmp_path):
    await write(tmp_path, "results", row("a"), row("b", "failed"), shard=(1, 2))
    await write(tmp_path, "results", row("c"), row("a", "failed", "2027"), shard=(2, 2))
    await write(tmp_path, "results", row("b", finished="2025"))
    assert {key: found["status"] for key, found in read_rows(tmp_path).items()} == {
        "a": "done",
        "b": "done",
        "c": "done",
    }
    await write(tmp_path, "judgments", judgment("a"), shard=(1, 2))
    await write(tmp_path, "judgments", judgment("a", "failed"), shard=(2, 2))
    assert read_judgments(tmp_path)["a", "t1r1c1", "j"]["status"] == "done"


_LINES = [json.dumps(row(str(n), text="ü" * n)).encode() + b"\n" for n in range(4)]


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, sum(map(len, _LINES))))
def test_a_file_cut_anywhere_keeps_its_whole_lines_and_takes_new_ones(tmp_path_factory, cut):
    out = tmp_path_factory.mktemp("run")
    path = out / "results.jsonl"
    path.write_bytes(b"".join(_LINES)[:cut])
    whole, end = 0, 0
    for line in _LINES:
        if end + len(line) - 1 > cut:  # a line without its line break is whole, too
            break
        whole, end = whole + 1, end + len(line)
    assert len(read_rows(out)) == whole
    import asyncio

    asyncio.run(write(out, "results", row("new")))
    assert list(read_rows(out)) == [*map(str, range(whole)), "new"]
    for line in path.read_bytes().splitlines():
        json.loads(line)


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    (tmp_path / "results.jsonl").write_text('{"key": 1\n' + json.dumps(row("a")) + "\n")
    with pytest.raises(DataError, match="line 1: no JSON"):
        read_rows(tmp_path)
    (tmp_path / "results.jsonl").write_text(json.dumps(row("a")) + '\n{"key": "b"}\n')
    with pytest.raises(DataError, match="line 2: item, status, finished is missing"):
        read_rows(tmp_path)


def test_one_process_at_a_time_writes_a_file(tmp_path):
    with open_ledger(tmp_path, "results"):
        with (
            pytest.raises(InputError, match="Another process writes"),
            open_ledger(tmp_path, "results"),
        ):
            pass
        with open_ledger(tmp_path, "results", (1, 2)):
            pass


async def test_a_line_is_one_write_and_synchronised(tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(number) or real(number))
    with open_ledger(tmp_path, "results") as ledger:
        synced.clear()
        await ledger.append(row("a"))
        assert len(synced) == 1


def test_a_file_that_can_not_be_made_leaves_the_old_one(tmp_path):
    path = tmp_path / "folder" / "image.png"
    replace_file(path, lambda part: part.write_bytes(b"old"))

    def fail(part):
        part.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_file(path, fail)
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_without_a_run_says_so(tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(DataError, match="not the manifest"):
        read_manifest(tmp_path)
    assert part_name("results", (2, 8), "jsonl") == "results.2-of-8.jsonl"
