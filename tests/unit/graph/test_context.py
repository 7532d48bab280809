"""Settings of a run: every field checked, every mistake named, before anything is spent."""

from __future__ import annotations

import pytest

from gems.errors import ConfigurationError, InputError
from gems.graph.build import build_graph
from gems.graph.context import Context, check_context


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_rounds", 0),
        ("candidates", 9),
        ("verification", "sometimes"),
        ("votes", 0),
        ("accept_score", 1.5),
        ("width", 100),
        ("height", 1001),
        ("steps", 0),
        ("guidance", -1),
        ("seed", -1),
        ("history_images", "some"),
        ("max_seconds", 0),
        ("max_model_calls", 2),
        ("review", "always"),
        ("max_skills", -1),
        ("max_rounds", "many"),
        ("no_such_setting", 1),
    ],
)
async def test_a_wrong_setting_is_named_before_any_model_call(world, field, value):
    with pytest.raises(ConfigurationError, match=field):
        check_context({field: value})
    if field in Context.__dataclass_fields__:
        with pytest.raises(ConfigurationError, match=field):
            await world.run("a cat", **{field: value})
        assert world.script.calls == {}
        assert world.generator.requests == []


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ConfigurationError) as caught:
        check_context({"max_rounds": 0, "votes": 0, "seed": -5})
    assert all(name in str(caught.value) for name in ("max_rounds", "votes", "seed"))


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"generator": "no-such-thing:x"}, "no-such-thing"),
        ({"mllm": "no-such-provider:x"}, "no-such-provider"),
        ({"verifier_mllm": "nonsense"}, "nonsense"),
        ({"skills": "spatial-layout, no-such-skill"}, "no-such-skill"),
    ],
)
async def test_a_model_or_skill_that_is_not_there_is_named_before_any_model_call(
    world, settings, wrong
):
    context = Context(**{"mllm": "scripted", "generator": "tiny", **settings})
    with pytest.raises(ConfigurationError, match=wrong):
        await build_graph().ainvoke({"prompt": "a cat"}, context=context)
    assert world.script.calls == {}


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": "   "},
        {"messages": []},
        {"prompt": "x" * 20_001},
        {"prompt": "a cat", "requirements": [{"kind": "object"}]},
        {"prompt": "a cat", "requirements": ["ok?"] + [f"{n}?" for n in range(60)]},
        {"prompt": "a cat", "seed": -1},
        {"prompt": "a cat", "seed": 2**31},
    ],
)
async def test_bad_input_is_refused_before_any_model_call(world, given):
    with pytest.raises(InputError):
        await world.run(given)
    assert world.script.calls == {}


def test_studio_sees_type_default_range_and_help_of_every_setting():
    schema = build_graph().get_context_jsonschema()
    assert set(schema["properties"]) == set(Context.__dataclass_fields__)
    for name, field in schema["properties"].items():
        assert field.get("description"), name
        assert "default" in field, name
    assert schema["properties"]["max_rounds"]["minimum"] == 1
    assert schema["properties"]["review"]["enum"] == ["none", "requirements", "rounds", "all"]


def test_a_role_takes_its_own_model_then_the_runs_then_the_process(monkeypatch):
    from gems.settings import get_settings

    monkeypatch.setenv("GEMS_MLLM", "openai:big")
    monkeypatch.setenv("GEMS_VERIFIER_MLLM", "openai:small")
    get_settings.cache_clear()
    assert Context().model_for("refiner") == "openai:big"
    assert Context().model_for("verifier") == "openai:small"
    assert Context(mllm="x:y").model_for("verifier") == "x:y"
    assert Context(mllm="x:y", verifier_mllm="a:b").model_for("verifier") == "a:b"
