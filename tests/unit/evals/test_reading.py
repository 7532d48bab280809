"""Data files are read strictly: what can't be used is named by its number, never skipped."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gems.evals.errors import DataError
from gems.evals.reading import (
    Faults,
    Ids,
    item_id,
    read_csv,
    read_json,
    read_jsonl,
    read_lines,
    read_records,
)

json_values = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(max_size=3))
_objects = st.dictionaries(st.text(max_size=3), json_values, max_size=3)
records_of_json = st.lists(_objects, min_size=1)


def put(tmp_path, text, name="data.jsonl"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{x", "at column 2"),
        ("[1]", "a JSON list where an object should be"),
        ('"text"', "a JSON string"),
        ("3", "a JSON number"),
        ("null", "a JSON null"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "-Infinity"),
        ('{"a": 1, "a": 2}', "key 'a' twice"),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deep"),
        ('{"a": 1} {"b": 2}', "Extra data"),
        ('{"a": ' + "9" * 5000 + "}", "line 2"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path, line, said):
    path = put(tmp_path, '{"a": 1}\n' + line + "\n")
    with pytest.raises(DataError, match="line 2: ") as caught:
        read_jsonl(path, hint="Get it anew.")
    assert said in str(caught.value)
    assert caught.value.hint == "Get it anew."


def test_all_bad_lines_are_counted_and_the_first_ten_named(tmp_path):
    lines = ['{"a": 1}' if number % 2 else "oops" for number in range(1, 31)]
    with pytest.raises(DataError) as caught:
        read_jsonl(put(tmp_path, "\n".join(lines)))
    said = str(caught.value)
    assert all(f"line {number}:" in said for number in range(2, 21, 2))
    assert "line 22:" not in said
    assert "and 5 more" in said


@settings(max_examples=50)
@given(records=records_of_json, blank=st.booleans())
def test_what_was_written_is_read_with_its_line(records, blank, tmp_path_factory):
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    text = ("\n\n" if blank else "\r\n").join(lines)
    path = put(tmp_path_factory.getbasetemp(), b"\xef\xbb\xbf" + text.encode())
    step = 2 if blank else 1
    assert read_jsonl(path) == [(1 + step * place, record) for place, record in enumerate(records)]


def test_a_line_separator_inside_a_prompt_ends_no_line(tmp_path):
    path = put(tmp_path, '{"prompt": "one\u2028two\x85three"}\n{"prompt": "four"}')
    assert [number for number, _ in read_jsonl(path)] == [1, 2]


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_file_is_said_to_be_empty(tmp_path, text):
    with pytest.raises(DataError, match="is empty"):
        read_jsonl(put(tmp_path, text))


def test_bytes_that_are_no_text_are_named_by_line(tmp_path):
    with pytest.raises(DataError, match=r"line 3: not UTF-8"):
        read_lines(put(tmp_path, b"one\ntwo\n\xff\n"))


def test_a_missing_file_and_a_folder_are_said_plainly(tmp_path):
    with pytest.raises(DataError, match=r"There is no file .*nowhere"):
        read_jsonl(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a folder"):
        read_jsonl(tmp_path)


def test_json_errors_name_the_line(tmp_path):
    with pytest.raises(DataError, match="line 3: not JSON"):
        read_json(put(tmp_path, '{"a": 1,\n"b": 2,\n]'))


def test_a_list_is_numbered_by_entry_and_jsonl_by_line(tmp_path):
    records = [{"a": 1}, {"a": 2}]
    as_list = put(tmp_path, json.dumps(records, indent=2), "list.json")
    as_lines = put(tmp_path, '{"a": 1}\n\n{"a": 2}', "lines.json")
    assert read_records(as_list) == [(1, records[0]), (2, records[1])]
    assert read_records(as_lines) == [(1, records[0]), (3, records[1])]
    with pytest.raises(DataError, match="entry 2: a JSON number"):
        read_records(put(tmp_path, '[{"a": 1}, 5]'))
    with pytest.raises(DataError, match="empty list"):
        read_records(put(tmp_path, "[]"))


def test_a_table_keeps_the_line_a_row_begins_at(tmp_path):
    path = put(tmp_path, 'id,text\n1,"two\nlines"\n\n2,"a ""quoted"", word"\n')
    assert read_csv(path, ["id", "text"]) == [
        (2, {"id": "1", "text": "two\nlines"}),
        (5, {"id": "2", "text": 'a "quoted", word'}),
    ]


def test_columns_without_a_name_are_no_ones_business(tmp_path):
    rows = read_csv(put(tmp_path, "id,text,,\n1,a,,\n"), ["id", "text"])
    assert [(row["id"], row["text"]) for _, row in rows] == [("1", "a")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,text\n1\n2,x,y\n", "line 2: 1 cells where the head line has 2; line 3: 3 cells"),
        ("id,other\n1,2\n", "has no column 'text'"),
        ("id,text,id\n1,2,3\n", "columns twice: 'id'"),
        ("id,text\n", "has no rows"),
        ('id,text\n1,"open\n', "line 2: "),
        ('id,text\n1,"a"b\n', "line 2: "),
        ("", "has no rows"),
    ],
)
def test_a_malformed_table_is_refused(tmp_path, text, said):
    with pytest.raises(DataError) as caught:
        read_csv(put(tmp_path, text), ["id", "text"])
    assert said in str(caught.value)


@given(st.text())
def test_an_id_is_safe_as_a_file_name(text):
    made = item_id(text)
    assert made
    assert made.strip(".")
    assert all(letter.isascii() and (letter.isalnum() or letter in "_.-") for letter in made)


def test_an_id_that_comes_twice_is_a_fault(tmp_path):
    faults = Faults(tmp_path)
    ids = Ids(faults)
    assert [ids.take("a b", 1), ids.take("c", 2)] == ["a_b", "c"]
    assert not faults
    ids.take("a/b", 3)
    with pytest.raises(DataError, match="line 3: id 'a_b' again, as at 1"):
        faults.check()
