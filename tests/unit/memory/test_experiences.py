"""Experience memory: what is recalled, what merges, what loses weight, what is forgotten."""

import asyncio
import json

import pytest
from langgraph.store.memory import InMemoryStore

from gems.errors import InputError
from gems.memory import experiences as memory
from gems.memory.store import ChromaStore
from gems.models.embeddings import LexicalEmbeddings

ANN = {"user": "ann@example.com", "generator": "openai:gpt-image-1.5"}


@pytest.fixture(params=["chroma", "langgraph"])
def store(request):
    index = {"embed": LexicalEmbeddings(), "dims": 1024, "fields": list(memory.EMBEDDED_FIELDS)}
    if request.param == "langgraph":
        yield InMemoryStore(index=index)
        return
    with ChromaStore(index=index) as opened:
        yield opened


@pytest.fixture(autouse=True)
def lexical_closeness(monkeypatch):
    monkeypatch.setattr(memory, "OTHER_CLOSENESS", memory.CLOSENESS["lexical"])


def draft(task="seven red apples in a bowl", **more):
    return {
        "task": task,
        "kinds": ["count"],
        "failed": "Only five apples were drawn",
        "remedy": "write the number as a digit and list the apples row by row",
        "skill": "",
        "gain": 0.3,
        **more,
    }


OTHER = {"remedy": "give every object its own sentence", "failed": "Two objects were fused"}


async def all_lessons(store, **who):
    return [lesson async for lesson in memory.lessons(store, **who)]


async def test_a_lesson_comes_back_for_a_similar_prompt_only(store):
    learned = await memory.learn(store, **ANN, record=draft())
    (found,) = await memory.recall(store, **ANN, prompt="nine red apples on a plate")
    assert found["id"] == learned["id"]
    assert found["relevance"] > 0.22
    assert memory.as_advice(found) == (
        "Only five apples were drawn. "
        "What helped: write the number as a digit and list the apples row by row."
    )
    assert await memory.recall(store, **ANN, prompt="a lighthouse in a storm") == []
    assert await memory.recall(store, **ANN, prompt=" ") == []
    assert await memory.recall(store, **ANN, prompt="seven red apples", limit=0) == []


async def test_lessons_belong_to_a_user_and_a_generator(store):
    await memory.learn(store, **ANN, record=draft())
    for other in ({**ANN, "user": "bob"}, {**ANN, "generator": "sandbox"}):
        assert await memory.recall(store, **other, prompt=draft()["task"]) == []


async def test_a_store_without_semantic_search_recalls_nothing():
    store = InMemoryStore()
    await memory.learn(store, **ANN, record=draft())
    assert await memory.recall(store, **ANN, prompt=draft()["task"]) == []


async def test_the_same_lesson_again_is_counted_not_stored_twice(store):
    for gain in (0.2, 0.4, 0.6):
        lesson = await memory.learn(
            store, **ANN, record=draft(f"{gain} red apples in a bowl", gain=gain)
        )
    assert lesson["count"] == 3
    assert lesson["gain"] == pytest.approx(0.4)
    assert [one["id"] for one in await all_lessons(store)] == [lesson["id"]]


async def test_another_remedy_or_another_failing_kind_is_another_lesson(store):
    await memory.learn(store, **ANN, record=draft())
    await memory.learn(store, **ANN, record=draft(remedy="use a macro photograph style"))
    await memory.learn(store, **ANN, record=draft(kinds=["attribute"]))
    assert len(await all_lessons(store)) == 3


async def test_runs_that_contradict_each_other_are_settled_by_evidence(store):
    await memory.learn(store, **ANN, record=draft(gain=0.2))
    for _ in range(2):
        lesson = await memory.learn(
            store, **ANN, record=draft(gain=-0.4, failed="Apples became pears")
        )
    assert lesson["gain"] == pytest.approx(-0.2)
    assert len(await all_lessons(store)) == 1
    assert memory.as_advice(lesson).startswith("Apples became pears. This did not help: write the")
    for _ in range(4):
        lesson = await memory.learn(store, **ANN, record=draft(gain=0.5))
    assert "What helped" in memory.as_advice(lesson)


async def test_duplicates_from_runs_at_the_same_time_become_one_later(store):
    await asyncio.gather(*(memory.learn(store, **ANN, record=draft()) for _ in range(5)))
    lesson = await memory.learn(store, **ANN, record=draft())
    assert [one["count"] for one in await all_lessons(store)] == [6]
    assert lesson["count"] == 6


async def test_recalls_that_do_not_help_silence_a_lesson_and_teaching_it_again_revives_it(store):
    await memory.learn(store, **ANN, record=draft())
    recalls = 0
    while found := await memory.recall(store, **ANN, prompt=draft()["task"]):
        await memory.credit(store, found, helped=False)
        recalls += 1
        assert recalls < 20
    assert recalls == 5
    assert (await memory.stats(store))["silenced"] == 1
    await memory.learn(store, **ANN, record=draft())
    assert await memory.recall(store, **ANN, prompt=draft()["task"])


async def test_recalls_that_help_keep_a_lesson(store):
    await memory.learn(store, **ANN, record=draft())
    for _ in range(10):
        found = await memory.recall(store, **ANN, prompt=draft()["task"])
        await memory.credit(store, found, helped=True)
    (lesson,) = await all_lessons(store)
    assert (lesson["uses"], lesson["wins"], memory.weight(lesson)) == (10, 10, 1.0)


async def test_credit_skips_what_was_forgotten(store):
    lesson = await memory.learn(store, **ANN, record=draft())
    await memory.forget(store, user=ANN["user"])
    await memory.credit(store, [lesson], helped=True)
    assert await all_lessons(store) == []


async def test_lessons_that_helped_come_before_lessons_that_did_not(store):
    first = await memory.learn(store, **ANN, record=draft())
    second = await memory.learn(store, **ANN, record=draft(**OTHER))
    for _ in range(2):
        await memory.credit(store, [first], helped=False)
        await memory.credit(store, [second], helped=True)
    found = await memory.recall(store, **ANN, prompt=draft()["task"])
    assert [lesson["id"] for lesson in found] == [second["id"], first["id"]]


async def test_recalled_lessons_differ_from_each_other(store):
    # Same advice for three kinds of failure: no duplicates in memory, but once is enough to read.
    for kind in ("count", "object", "other"):
        await memory.learn(store, **ANN, record=draft(kinds=[kind]))
    await memory.learn(store, **ANN, record=draft("a bowl with red fruit", **OTHER))
    found = await memory.recall(store, **ANN, prompt=draft()["task"], limit=3)
    assert [lesson["remedy"] for lesson in found] == [draft()["remedy"], OTHER["remedy"]]


async def test_the_size_cap_drops_what_helped_least(store, monkeypatch):
    monkeypatch.setattr(memory, "MAX_LESSONS", 3)
    kept = []
    for i, kind in enumerate(["count", "object", "text", "style"]):
        lesson = await memory.learn(store, **ANN, record=draft(kinds=[kind]))
        if i == 1:
            await memory.credit(store, [lesson], helped=False)
        else:
            kept.append(lesson["id"])
    assert {lesson["id"] for lesson in await all_lessons(store)} == set(kept)


async def test_forgetting_takes_one_lesson_one_generator_or_a_whole_user(store):
    one = await memory.learn(store, **ANN, record=draft())
    await memory.learn(store, **ANN, record=draft(kinds=["text"]))
    await memory.learn(store, user=ANN["user"], generator="sandbox", record=draft())
    bobs = await memory.learn(store, user="bob", generator="sandbox", record=draft())
    assert await memory.forget(store, user=ANN["user"], lesson_id=bobs["id"]) == 0
    assert await memory.forget(store, user=ANN["user"], lesson_id=one["id"]) == 1
    assert await memory.forget(store, user=ANN["user"], generator="sandbox") == 1
    assert await memory.forget(store, user=ANN["user"]) == 1
    assert [lesson["id"] for lesson in await all_lessons(store)] == [bobs["id"]]


async def test_what_is_exported_can_be_imported(store):
    await memory.learn(store, **ANN, record=draft())
    await memory.learn(store, user="bob \ud800.", generator="x.y", record=draft("OPEN sign"))
    lines = [line async for line in memory.export_lessons(store)]
    before = await all_lessons(store)
    for user in (ANN["user"], "bob \ud800."):
        assert await memory.forget(store, user=user) == 1
    assert await memory.import_lessons(store, [*lines, ""]) == 2
    assert await memory.import_lessons(store, lines) == 2
    key = lambda lesson: lesson["id"]  # noqa: E731 - used twice on one line
    assert sorted(await all_lessons(store), key=key) == sorted(before, key=key)


@pytest.mark.parametrize(
    "change",
    [{"gain": 7}, {"kinds": ["magic"]}, {"task": " "}, {"uses": -1}, {"id": ""}, {"wins": True}],
)
async def test_a_damaged_export_changes_nothing_and_names_the_line(store, change):
    lesson = await memory.learn(store, **ANN, record=draft())
    lines = [json.dumps({**lesson, "id": "new"}), json.dumps({**lesson, **change})]
    with pytest.raises(InputError, match="line 2"):
        await memory.import_lessons(store, lines)
    assert await all_lessons(store) == [lesson]
    with pytest.raises(InputError, match="line 1 is not JSON"):
        await memory.import_lessons(store, ["{"])


async def test_foreign_items_under_the_namespace_are_ignored(store):
    home = memory.namespace(**ANN)
    await store.aput(home, "junk", {"task": draft()["task"], "remedy": 7})
    assert await memory.recall(store, **ANN, prompt=draft()["task"]) == []
    assert await all_lessons(store) == []


async def test_lessons_can_be_found_searched_and_summed_up(store):
    first = await memory.learn(store, **ANN, record=draft())
    await memory.learn(
        store, user="bob", generator="sandbox", record=draft("OPEN sign", kinds=["text", "style"])
    )
    assert await memory.find(store, first["id"]) == first
    assert await memory.find(store, "missing") is None
    found = await memory.search(store, "red apples", limit=1)
    assert [lesson["id"] for lesson in found] == [first["id"]]
    assert [lesson["user"] for lesson in await all_lessons(store, user="bob")] == ["bob"]
    assert await memory.stats(store) == {
        "lessons": 2,
        "users": 2,
        "by_generator": {ANN["generator"]: 1, "sandbox": 1},
        "by_kind": {"count": 1, "text": 1, "style": 1},
        "uses": 0,
        "wins": 0,
        "silenced": 0,
    }


def test_namespaces_tell_users_apart_and_hold_no_dots():
    names = ["a.b", "a%2Eb", "a", "", "%", "A", "a/b", "a b", "é", "*"]
    labels = [memory.namespace(name)[1] for name in names]
    assert len(set(labels)) == len(names)
    assert all(label and "." not in label and label != "*" for label in labels)
