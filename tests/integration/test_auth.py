"""Logins on a real server: each border tried as somebody else, as nobody, as an impostor."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import pytest
from PIL import Image
from servers.langgraph_server import LangGraphServer

from gems.app.credentials import as_line, new_key
from gems.memory.experiences import ROOT, label

pytestmark = pytest.mark.integration

SECRET = "the secret of this test's token issuer"
NOBODY = "00000000-0000-4000-8000-000000000000"
SMALL = {"width": 256, "height": 256, "max_rounds": 1, "seed": 5}


def token(secret: str = SECRET, **more: Any) -> str:
    claims = {"sub": "carol", "aud": "gems", "exp": int(time.time()) + 600, **more}
    return jwt.encode(claims, secret, "HS256")


@dataclass
class House:
    """A server with logins, the keys of its users, and what alice has on it."""

    url: str
    keys: dict[str, str]
    server: LangGraphServer

    def __post_init__(self) -> None:
        self._clients: list[httpx.Client] = []

    def user(self, name: str = "", **headers: str) -> httpx.Client:
        if name:
            headers["Authorization"] = f"Bearer {self.keys[name]}"
        client = httpx.Client(base_url=self.url, headers=headers, timeout=60)
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    keys, lines = {}, []
    for name, scopes in {"alice": (), "bob": (), "root": ("admin",), "prom": ("metrics",)}.items():
        keys[name], entry = new_key(name, scopes)
        lines.append(as_line(entry))
    folder = tmp_path_factory.mktemp("house")
    (folder / "keys.jsonl").write_text("\n".join(lines))
    env = {
        "GEMS_API_KEYS_FILE": str(folder / "keys.jsonl"),
        "GEMS_JWT_SECRET": SECRET,
        "GEMS_JWT_AUDIENCE": "gems",
        "GEMS_ALLOWED_GENERATORS": "sandbox:strong",
    }
    with LangGraphServer(folder, env=env) as server:
        made = House(server.url, keys, server)
        yield made
        made.close()


@pytest.fixture(scope="module")
def hers(house: House) -> dict[str, Any]:
    """What alice has: a thread with a finished run and its image, an assistant, a cron."""
    alice = house.user("alice")
    thread = alice.post("/threads", json={"metadata": {"note": "secret"}}).json()["thread_id"]
    message = {"role": "user", "content": "two red cubes left of a blue ball"}
    body = {"assistant_id": "gems", "input": {"messages": [message]}, "context": SMALL}
    result = alice.post(f"/threads/{thread}/runs/wait", json=body).json()
    assert "image" in result, result
    run = alice.get(f"/threads/{thread}/runs").json()[0]["run_id"]
    made = {"graph_id": "gems", "name": "hers", "context": {"max_rounds": 2}}
    assistant = alice.post("/assistants", json=made).json()["assistant_id"]
    plan = {"assistant_id": "gems", "schedule": "0 0 1 1 *", "input": {"prompt": "a cube"}}
    cron = alice.post("/runs/crons", json=plan)
    assert cron.status_code == 200, cron.text
    namespace = [ROOT, label("alice"), "sandbox"]
    item = {"namespace": namespace, "key": "note", "value": {"task": "hers"}}
    assert alice.put("/store/items", json=item).status_code == 204
    return {
        "thread": thread,
        "run": run,
        "assistant": assistant,
        "cron": cron.json()["cron_id"],
        "namespace": namespace,
        "result": result,
        "image": result["image"],
    }


def test_everything_but_the_probes_asks_who_calls(house: House, hers: dict[str, Any]) -> None:
    """Over every operation that the server documents, and those that it does not."""
    spec = house.user("root").get("/openapi.json").json()
    known = {
        "thread_id": hers["thread"],
        "run_id": hers["run"],
        "assistant_id": hers["assistant"],
        "cron_id": hers["cron"],
        "sha256": hers["image"]["sha256"],
    }
    operations = []
    for path, methods in spec["paths"].items():
        for name, value in known.items():
            path = path.replace(f"{{{name}}}", value)
        operations += [(method, path.replace("{", "").replace("}", "")) for method in methods]
    operations += [
        ("get", "/docs"),
        ("get", "/openapi.json"),
        ("get", f"/internal/debug/thread/{hers['thread']}"),
        ("get", f"//internal/debug/thread/{hers['thread']}"),
        ("post", "/internal/truncate"),
        ("get", "/deploy"),
        ("post", "/deploy"),
        ("get", "/deploy/x/stream"),
        ("get", "/noauth/threads"),
        ("get", f"/noauth/threads/{hers['thread']}"),
        ("get", "/ui/x"),
    ]
    assert len(operations) > 50
    # Probes, and the page's own files: a login form is open, too.
    free = {("get", "/ok"): 200, ("get", "/health"): 200, ("get", "/ui"): 307, ("get", "/ui/"): 200}
    strangers = {
        "nobody": house.user(),
        "Studio": house.user(**{"x-auth-scheme": "langsmith", "x-api-key": "lsv2_pt_anything"}),
    }
    for name, stranger in strangers.items():
        for method, path in operations:
            answer = stranger.request(method, path, json={} if method != "get" else None)
            expected = free.get((method, path), 401)
            assert answer.status_code == expected, (name, method, path, answer.text)
    assert strangers["nobody"].get("/health").json() == {"status": "ok"}
    assert house.user("alice").get(f"/threads/{hers['thread']}").status_code == 200


@pytest.mark.parametrize(
    "credential",
    [
        pytest.param("gems_" + "A" * 43, id="unknown key"),
        pytest.param(token(exp=int(time.time()) - 3600), id="expired token"),
        pytest.param(token("a secret of somebody else, as long"), id="foreign token"),
        pytest.param(token(aud="another service"), id="token for another service"),
        pytest.param(token()[:-5], id="broken token"),
        pytest.param(token(sub="local"), id="token of the operator"),
        pytest.param(jwt.encode({"sub": "alice", "aud": "gems"}, SECRET), id="eternal token"),
    ],
)
def test_no_false_credential_opens_anything(
    house: House, hers: dict[str, Any], credential: str
) -> None:
    for headers in ({"Authorization": f"Bearer {credential}"}, {"x-api-key": credential}):
        impostor = house.user(**headers)
        for path in (
            f"/threads/{hers['thread']}",
            f"/artifacts/{hers['image']['sha256']}",
            "/assistants/search",
            "/metrics",
        ):
            method = "POST" if path.endswith("search") else "GET"
            answer = impostor.request(method, path, json={} if method == "POST" else None)
            assert answer.status_code == 401, answer.text
            assert credential not in answer.text


def test_a_token_is_as_good_as_a_key(house: House) -> None:
    carol = house.user(Authorization=f"Bearer {token()}")
    thread = carol.post("/threads", json={}).json()
    assert thread["metadata"]["owner"] == "carol"
    assert carol.get(f"/threads/{thread['thread_id']}").status_code == 200
    assert carol.get("/internal/debug/thread/x").status_code == 403


def test_nobody_reads_changes_or_ends_anothers_thread(house: House, hers: dict[str, Any]) -> None:
    bob, thread, run = house.user("bob"), f"/threads/{hers['thread']}", hers["run"]
    again = {"assistant_id": "gems", "input": {"prompt": "a cube"}, "context": SMALL}
    state = {"values": {"prompt": "mine now"}, "as_node": "intake"}
    tries: list[tuple[str, str, Any]] = [
        ("GET", thread, None),
        ("GET", f"{thread}/state", None),
        ("GET", f"{thread}/history", None),
        ("POST", f"{thread}/history", {}),
        ("POST", f"{thread}/state", state),
        ("POST", f"{thread}/state/checkpoint", {"checkpoint": {"checkpoint_ns": ""}}),
        ("PATCH", thread, {"metadata": {"owner": "bob"}}),
        ("POST", f"{thread}/copy", {}),
        ("GET", f"{thread}/stream", None),
        ("POST", f"{thread}/runs", again),
        ("POST", f"{thread}/runs", {**again, "if_not_exists": "create"}),
        ("POST", f"{thread}/runs/wait", again),
        ("POST", f"{thread}/runs/stream", again),
        ("GET", f"{thread}/runs/{run}", None),
        ("GET", f"{thread}/runs/{run}/join", None),
        ("GET", f"{thread}/runs/{run}/stream", None),
        ("POST", f"{thread}/runs/{run}/cancel", {}),
        ("DELETE", f"{thread}/runs/{run}", None),
        ("POST", f"{thread}/runs/crons", {**again, "schedule": "* * * * *"}),
        ("POST", "/threads", {"thread_id": hers["thread"], "if_exists": "do_nothing"}),
        ("POST", "/threads", {"thread_id": hers["thread"], "if_exists": "raise"}),
        ("DELETE", thread, None),
    ]
    for method, path, body in tries:
        with bob.stream(method, path, json=body) as answer:
            text = "" if answer.status_code == 200 and "stream" in path else answer.read().decode()
            leaked = "two red cubes" in text or "secret" in text
            # A listing or stream of nothing may be answered with nothing.
            empty = answer.status_code == 200 and text.strip() in ("", "[]", "null")
            assert not leaked, (method, path, text)
            assert answer.status_code in (403, 404, 409) or empty, (method, path, text)
    for path in ("/threads/search", "/threads/count"):
        found = bob.post(path, json={"metadata": {"note": "secret"}}).json()
        assert found in ([], 0), (path, found)
        found = bob.post(path, json={"ids": [hers["thread"]]}).json()
        assert found in ([], 0), (path, found)
    assert bob.get(f"{thread}/runs").text in ("[]", "") or bob.get(f"{thread}/runs").is_error
    bob.post("/threads/prune", json={"thread_ids": [hers["thread"]], "strategy": "delete"})
    mine = house.user("alice").get(thread).json()
    assert mine["metadata"]["owner"] == "alice"
    assert mine["metadata"]["note"] == "secret"
    assert mine["values"]["prompt"] == hers["result"]["prompt"]
    assert [item["run_id"] for item in house.user("alice").get(f"{thread}/runs").json()] == [run]
    assert house.user("root").get(thread).status_code == 200


def test_nobody_takes_or_gives_a_thread_by_writing_an_owner(house: House) -> None:
    bob = house.user("bob")
    made = bob.post("/threads", json={"metadata": {"owner": "alice"}}).json()
    assert made["metadata"]["owner"] == "bob"
    changed = bob.patch(f"/threads/{made['thread_id']}", json={"metadata": {"owner": "alice"}})
    assert changed.json()["metadata"]["owner"] == "bob"
    run = {
        "assistant_id": "gems",
        "input": {"prompt": ""},
        "metadata": {"owner": "alice"},
        "config": {"metadata": {"owner": "alice"}},
        "if_not_exists": "create",
    }
    fresh = "11111111-1111-4111-8111-111111111111"
    bob.post(f"/threads/{fresh}/runs/wait", json=run)
    assert bob.get(f"/threads/{fresh}").json()["metadata"]["owner"] == "bob"


def test_nobody_reads_changes_or_runs_anothers_assistant(
    house: House, hers: dict[str, Any]
) -> None:
    bob, alice = house.user("bob"), house.user("alice")
    assistant = f"/assistants/{hers['assistant']}"
    run = {"assistant_id": hers["assistant"], "input": {"prompt": "a cube"}, "context": SMALL}
    for method, path, body in (
        ("GET", assistant, None),
        ("GET", f"{assistant}/schemas", None),
        ("GET", f"{assistant}/graph", None),
        ("POST", f"{assistant}/versions", {}),
        ("POST", f"{assistant}/latest", {"version": 1}),
        ("PATCH", assistant, {"name": "mine"}),
        ("DELETE", assistant, None),
        ("POST", "/runs/wait", run),
        ("POST", "/runs/crons", {**run, "schedule": "* * * * *"}),
    ):
        answer = bob.request(method, path, json=body)
        assert answer.status_code in (403, 404), (method, path, answer.status_code, answer.text)
    listed = bob.post("/assistants/search", json={"limit": 100}).json()
    assert hers["assistant"] not in [item["assistant_id"] for item in listed]
    assert any(item["metadata"].get("created_by") == "system" for item in listed)
    for metadata in ({"created_by": "system"}, {"audience": "everyone"}):
        planted = {"graph_id": "gems", "name": "planted", "metadata": metadata}
        assert bob.post("/assistants", json=planted).status_code == 403
        own = bob.post("/assistants", json={"graph_id": "gems", "name": "own"}).json()
        path = f"/assistants/{own['assistant_id']}"
        assert bob.patch(path, json={"metadata": metadata}).status_code == 403
        assert alice.get(path).status_code == 404
    graph = next(item for item in listed if item["metadata"].get("created_by") == "system")
    built_in = f"/assistants/{graph['assistant_id']}"
    assert bob.patch(built_in, json={"context": {"max_rounds": 1}}).status_code in (403, 404)
    assert bob.delete(built_in).status_code in (403, 404)
    preset = {"graph_id": "gems", "name": "fast", "metadata": {"audience": "everyone"}}
    for_all = house.user("root").post("/assistants", json=preset).json()["assistant_id"]
    assert bob.get(f"/assistants/{for_all}").json()["name"] == "fast"
    assert bob.patch(f"/assistants/{for_all}", json={"name": "slow"}).status_code == 404
    assert alice.get(assistant).json()["name"] == "hers"


def test_nobody_reads_or_changes_anothers_plan(house: House, hers: dict[str, Any]) -> None:
    bob, alice = house.user("bob"), house.user("alice")
    assert bob.post("/runs/crons/search", json={}).json() == []
    assert bob.post("/runs/crons/count", json={}).json() == 0
    cron = f"/runs/crons/{hers['cron']}"
    for answer in (bob.delete(cron), bob.patch(cron, json={"schedule": "* * * * *"})):
        assert answer.status_code in (403, 404), answer.text
    (mine,) = alice.post("/runs/crons/search", json={}).json()
    assert (mine["cron_id"], mine["schedule"]) == (hers["cron"], "0 0 1 1 *")


def test_the_experience_store_is_split_by_user(house: House, hers: dict[str, Any]) -> None:
    bob, alice = house.user("bob"), house.user("alice")
    namespace, key = hers["namespace"], "note"
    query = {"namespace": ".".join(namespace), "key": key}
    item = {"namespace": namespace, "key": key, "value": {"task": "mine"}}
    assert bob.get("/store/items", params=query).status_code == 403
    assert bob.put("/store/items", json=item).status_code == 403
    assert bob.request("DELETE", "/store/items", json=item).status_code == 403
    beside = {"namespace": ["elsewhere"], "key": "x", "value": {"task": "x"}}
    assert bob.put("/store/items", json=beside).status_code == 403
    for prefix in (namespace, namespace[:2], [ROOT, "alice", "x"], ["elsewhere"]):
        refused = bob.post("/store/items/search", json={"namespace_prefix": prefix})
        assert refused.status_code == 403, refused.text
        assert bob.post("/store/namespaces", json={"prefix": prefix}).status_code == 403
    for prefix in ([], [ROOT]):
        found = bob.post("/store/items/search", json={"namespace_prefix": prefix, "limit": 100})
        assert found.json()["items"] == [], found.text
        listed = bob.post("/store/namespaces", json={"prefix": prefix} if prefix else {}).json()
        assert all(item[:2] == [ROOT, "bob"] for item in listed["namespaces"]), listed
    assert bob.post("/store/namespaces", json={"suffix": ["sandbox"]}).json()["namespaces"] == []
    # A name that begins like another's is another's all the same.
    near = {"namespace": [ROOT, "bobby"], "key": "x", "value": {"task": "x"}}
    assert bob.put("/store/items", json=near).status_code == 403
    assert alice.get("/store/items", params=query).json()["value"] == {"task": "hers"}


def test_an_images_hash_is_not_a_permission(house: House, hers: dict[str, Any]) -> None:
    bob, alice = house.user("bob"), house.user("alice")
    path = f"/artifacts/{hers['image']['sha256']}"
    assert Image.open(io.BytesIO(alice.get(path).content)).size == (256, 256)
    assert Image.open(io.BytesIO(alice.get(f"{path}?size=64").content)).size == (64, 64)
    for headers in ({}, {"If-None-Match": "*"}, {"Range": "bytes=0-1"}):
        assert bob.get(path, headers=headers).status_code == 404
    assert house.user("root").get(path).status_code == 200
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (1, 2, 3)).save(buffer, format="PNG")
    uploaded = bob.post("/artifacts", content=buffer.getvalue()).json()["uri"]
    assert bob.get(uploaded).status_code == 200
    assert alice.get(uploaded).status_code == 404


def test_a_reference_that_was_written_into_a_state_shows_nothing(
    house: House, hers: dict[str, Any]
) -> None:
    """Bob knows alice's hash and lets his own run make a preview, a verdict or an edit of it."""
    bob = house.user("bob")
    own = {"assistant_id": "gems", "context": SMALL}
    for node, follows in (("scorer", "finalizer"), ("generator", "verifier")):
        thread = bob.post("/threads", json={}).json()["thread_id"]
        message = {"role": "user", "content": "a green cube"}
        first = bob.post(
            f"/threads/{thread}/runs/wait", json={**own, "input": {"messages": [message]}}
        ).json()
        (attempt,) = first["attempts"]
        stolen = {**attempt, "image": hers["image"], "verdicts": []}
        values: dict[str, Any] = {"attempts": [stolen], "stopped_because": ""}
        if node == "scorer":
            values |= {"stopped_because": "accepted", "best": attempt["id"]}
        written = bob.post(f"/threads/{thread}/state", json={"values": values, "as_node": node})
        assert written.status_code == 200, written.text
        assert set(bob.get(f"/threads/{thread}/state").json()["next"]) == {follows}
        result = bob.post(f"/threads/{thread}/runs/wait", json={**own, "input": None})
        state = bob.get(f"/threads/{thread}/state").json()
        shown = json.dumps([result.json(), state])
        previews = [
            part["image_url"]["url"]
            for message in state["values"].get("messages", [])
            if isinstance(message["content"], list)
            for part in message["content"]
            if part["type"] == "image_url"
        ]
        theirs = [
            part["image_url"]["url"]
            for message in hers["result"]["messages"]
            if isinstance(message["content"], list)
            for part in message["content"]
            if part["type"] == "image_url"
        ]
        assert theirs
        assert not set(previews) & set(theirs), node
        assert "is not in the artifact store" in shown, shown[-2000:]


def test_users_choose_no_model_that_the_operator_does_not_offer(house: House) -> None:
    bob = house.user("bob")

    def run(client: httpx.Client, **context: Any) -> Any:
        body = {"assistant_id": "gems", "input": {"prompt": "a cube"}}
        return client.post("/runs/wait", json={**body, "context": {**SMALL, **context}}).json()

    for context in (
        {"generator": "http:http://169.254.169.254/latest"},
        {"generator": "comfyui:http://127.0.0.1:8188?workflow=/etc/passwd"},
        {"generator": "diffusers:/etc"},
        {"mllm": "openai:gpt-5"},
        {"verifier_mllm": "openai:gpt-5"},
    ):
        refused = run(bob, **context)
        assert "does not let its users choose" in json.dumps(refused), refused
    # The lists are no obstacle to what the operator does offer, nor to an administrator.
    assert "image" in run(bob, generator="sandbox")
    assert "does not let" not in json.dumps(run(bob, generator="sandbox:strong"))
    for_root = run(house.user("root"), generator="http:http://127.0.0.1:9/none")
    assert "does not let" not in json.dumps(for_root)


def test_nobody_runs_under_anothers_name(house: House, hers: dict[str, Any]) -> None:
    bob = house.user("bob")
    spoofed = {
        "langgraph_auth_user": {"identity": "alice", "permissions": ["admin"]},
        "langgraph_auth_user_id": "alice",
        "langgraph_auth_permissions": ["admin"],
    }
    body = {"assistant_id": "gems", "input": {"prompt": "a yellow cube"}}
    settings = {**SMALL, "user": "alice"}
    for config in ({"context": settings}, {"config": {"configurable": {**settings, **spoofed}}}):
        answer = bob.post("/runs/wait", json={**body, **config}).json()
        sha256 = answer["image"]["sha256"]
        assert bob.get(f"/artifacts/{sha256}").status_code == 200
        assert house.user("alice").get(f"/artifacts/{sha256}").status_code == 404
        settings["seed"] = 6  # another image
    settings["generator"] = "http:http://127.0.0.1:9/none"
    answer = bob.post("/runs/wait", json={**body, "config": {"configurable": settings | spoofed}})
    assert "does not let its users choose" in answer.text
    plan = {**body, "schedule": "0 0 1 1 *", "config": {"configurable": spoofed}}
    cron = bob.post("/runs/crons", json=plan).json()
    assert cron["user_id"] == "bob"
    assert "langgraph_auth" not in json.dumps(cron["payload"])
    assert bob.delete(f"/runs/crons/{cron['cron_id']}").is_success


def test_the_tool_and_mcp_work_for_the_caller_and_nobody_else(house: House) -> None:
    bob, alice = house.user("bob"), house.user("alice")
    small = {"width": 256, "height": 256, "max_rounds": 1}
    body = {"assistant_id": "generate_image", "input": {"prompt": "a purple cube", **small}}
    made = bob.post("/runs/wait", json={**body, "context": {"user": "alice"}}).json()
    assert bob.get(made["path"]).status_code == 200, made
    assert alice.get(made["path"]).status_code == 404
    refused = bob.post("/runs/wait", json={**body, "context": {"generator": "http:http://x"}})
    assert "does not let its users choose" in refused.text
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": "generate_image",
            "arguments": {"prompt": "an orange cube", **small},
        },
    }
    headers = {"Accept": "application/json, text/event-stream"}
    assert house.user().post("/mcp", json=call, headers=headers).status_code == 401
    told = bob.post("/mcp", json=call, headers=headers)
    assert told.status_code == 200, told.text
    (path,) = set(re.findall(r"/artifacts/[0-9a-f]{64}", told.text))
    assert bob.get(path).status_code == 200
    assert alice.get(path).status_code == 404


def test_the_operators_routes_are_an_administrators(house: House, hers: dict[str, Any]) -> None:
    debug = f"/internal/debug/thread/{hers['thread']}"
    for name in ("bob", "alice", "prom"):
        user = house.user(name)
        assert user.get(debug).status_code == 403
        assert user.get(f"/{debug}").status_code in (403, 404)
        assert user.post("/internal/truncate").status_code == 403
        assert user.post("/deploy", json={}).status_code == 403
    assert house.user("root").get(debug).status_code == 200
    for name, status in (("prom", 200), ("root", 200), ("alice", 403)):
        assert house.user(name).get("/metrics").status_code == status
    assert "gems_runs_total" in house.user("prom").get("/metrics").text
    assert house.user("prom").post("/threads/search", json={}).status_code == 403


def test_a_key_that_is_struck_off_stops_to_count(house: House) -> None:
    file = house.server.folder / "keys.jsonl"
    key, entry = new_key("dave")
    before = file.read_text()
    house.keys["dave"] = key
    file.write_text(f"{before}\n{as_line(entry)}\n")
    dave = house.user("dave")

    def becomes(status: int) -> bool:
        end = time.monotonic() + 15
        while time.monotonic() < end:
            if dave.get("/info").status_code == status:
                return True
            time.sleep(0.2)
        return False

    assert becomes(200)
    file.write_text(before)
    assert becomes(401)


async def test_the_sdk_logs_in_with_its_api_key(house: House, hers: dict[str, Any]) -> None:
    from langgraph_sdk import get_client
    from langgraph_sdk.errors import NotFoundError

    async with get_client(url=house.url, api_key=house.keys["alice"]) as alice:
        assert (await alice.threads.get(hers["thread"]))["metadata"]["owner"] == "alice"
    async with get_client(url=house.url, api_key=house.keys["bob"]) as bob:
        with pytest.raises(NotFoundError):
            await bob.threads.get(hers["thread"])


def test_the_log_holds_no_key(house: House) -> None:
    log = house.server.log
    assert SECRET not in log
    assert not [name for name, key in house.keys.items() if key in log]


def test_a_web_page_learns_that_a_key_is_missing(house: House) -> None:
    studio = {"Origin": "https://smith.langchain.com"}
    asked = {
        **studio,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    assert house.user().options("/threads/search", headers=asked).status_code == 200
    refused = house.user().post("/threads/search", headers=studio, json={})
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, "*")
    allowed = house.user("bob").post("/threads/search", headers=studio, json={})
    assert allowed.status_code == 200
    assert allowed.headers.get_list("Access-Control-Allow-Origin") == ["*"]
