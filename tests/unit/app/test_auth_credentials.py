"""Keys and tokens: whom they let in, and every way in which they don't."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gems.app import credentials
from gems.app.cli import app
from gems.app.credentials import Identity, RefusedError, Verifier, as_line, new_key, read_keys
from gems.errors import ConfigurationError
from gems.settings import Settings

SECRET = "a secret of this test, long enough for HS384 tokens"


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "alice", "exp": int(time.time()) + 60, **more}


def signed(key: Any = SECRET, algorithm: str = "HS256", **more: Any) -> str:
    return jwt.encode(claims(**more), key, algorithm)


def pem_of(key: Any) -> str:
    public: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return public.decode()


async def test_a_new_key_lets_its_owner_in_and_no_other_key_does() -> None:
    key, entry = new_key("alice", ("admin",))
    other, _ = new_key("alice")
    verifier = Verifier(Settings(api_keys=as_line(entry)))
    assert await verifier.identify(key) == Identity("alice", frozenset({"admin"}))
    for wrong in (other, key[:-1], key + "x", key.upper(), entry.sha256, "gems_", "gems_é\udcff"):
        with pytest.raises(RefusedError) as refused:
            await verifier.identify(wrong)
        assert wrong not in str(refused.value) or wrong == "gems_"
    assert key not in as_line(entry)
    assert key not in repr(entry)


async def test_an_expired_key_is_refused() -> None:
    key, entry = new_key("alice", (), datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(RefusedError, match="expired"):
        await Verifier(Settings(api_keys=as_line(entry))).identify(key)


async def test_the_keys_file_is_read_again_and_a_damaged_one_lets_nobody_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_RECHECK_SECONDS", -1.0)
    file = tmp_path / "keys.jsonl"
    key, entry = new_key("alice")
    file.write_text(f"# people\n\n{as_line(entry)}\n")
    verifier = Verifier(Settings(api_keys_file=file))
    assert (await verifier.identify(key)).name == "alice"
    file.write_text("# nobody any more\n")
    with pytest.raises(RefusedError):
        await verifier.identify(key)
    file.write_text(f"{as_line(entry)}\n{{broken")
    with pytest.raises(ConfigurationError, match="line 2"):
        await verifier.identify(key)
    file.write_text(f"{as_line(entry)}\n")
    assert (await verifier.identify(key)).name == "alice"
    file.unlink()
    with pytest.raises(ConfigurationError, match="can't be read"):
        await verifier.identify(key)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "local"),
        ("name", "langgraph-studio-user"),
        ("name", ""),
        ("name", "al\nice"),
        ("sha256", "short"),
        ("scopes", ["root"]),
        ("expires", "2030-01-01T00:00:00"),
        ("role", "admin"),
    ],
)
def test_a_malformed_line_is_named_by_its_number_and_never_quoted(field: str, value: Any) -> None:
    _, entry = new_key("alice")
    line = json.dumps({"name": "bob", "sha256": "f" * 64, field: value})
    with pytest.raises(ConfigurationError, match="keys, line 2") as told:
        read_keys(f"{as_line(entry)}\n{line}", "keys")
    assert "f" * 64 not in str(told.value)


@given(st.text(max_size=300))
def test_whatever_a_keys_file_holds_it_is_read_or_refused_in_our_words(text: str) -> None:
    try:
        entries = read_keys(text, "keys")
    except ConfigurationError:
        return
    assert all(len(entry.sha256) == 64 for entry in entries)


async def test_a_token_lets_its_subject_in_with_the_scopes_meant_for_us() -> None:
    verifier = Verifier(Settings(jwt_secret=SECRET))
    assert await verifier.identify(signed()) == Identity("alice")
    token = signed(scope="admin openid gems:metrics")
    assert await verifier.identify(token) == Identity("alice", frozenset({"metrics"}))
    assert (await verifier.identify(signed(scope="gems:admin"))).admin


def unsigned() -> str:
    parts = [{"alg": "none", "typ": "JWT"}, claims()]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return b".".join([*encoded, b""]).decode()


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(signed(exp=int(time.time()) - 3600), id="expired"),
        pytest.param(signed("another secret, also 32 bytes or more"), id="foreign secret"),
        pytest.param(signed(algorithm="HS384"), id="another algorithm"),
        pytest.param(unsigned(), id="algorithm none"),
        pytest.param(signed(nbf=int(time.time()) + 3600), id="not yet"),
        pytest.param(signed(aud="another service"), id="foreign audience"),
        pytest.param(signed(aud="gems", iss="https://evil.example"), id="foreign issuer"),
        pytest.param(signed(aud="gems"), id="no issuer"),
        pytest.param(signed(iss="https://id.example"), id="no audience"),
        pytest.param(signed(aud="gems", iss="https://id.example", sub="local"), id="reserved"),
        pytest.param(signed(aud="gems", iss="https://id.example", sub=""), id="nobody"),
        pytest.param(jwt.encode({"exp": time.time() + 9, "aud": "gems"}, SECRET), id="no subject"),
        pytest.param(jwt.encode({"sub": "alice", "aud": "gems"}, SECRET), id="never expires"),
        pytest.param(signed(aud="gems", iss="https://id.example")[:-4], id="cut off"),
        pytest.param("a.b.c", id="nonsense"),
        pytest.param("x" * 10_000, id="endless"),
        pytest.param("", id="empty"),
    ],
)
async def test_no_other_token_lets_anybody_in(token: str) -> None:
    rules = Settings(jwt_secret=SECRET, jwt_audience="gems", jwt_issuer="https://id.example")
    verifier = Verifier(rules)
    assert (await verifier.identify(signed(aud="gems", iss="https://id.example"))).name == "alice"
    with pytest.raises(RefusedError):
        await verifier.identify(token)


async def test_public_key_tokens_and_the_confusion_of_key_and_secret(tmp_path: Path) -> None:
    ours, theirs = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    file = tmp_path / "id.pem"
    file.write_text(pem_of(ours))
    for given_key in (pem_of(ours), str(file)):
        verifier = Verifier(Settings(jwt_public_key=given_key, jwt_algorithm="ES256"))
        assert (await verifier.identify(signed(ours, "ES256"))).name == "alice"
    import hashlib
    import hmac

    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")
    body = base64.urlsafe_b64encode(json.dumps(claims()).encode()).rstrip(b"=")
    mac = hmac.digest(pem_of(ours).encode(), head + b"." + body, hashlib.sha256)
    confused = b".".join([head, body, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()
    for wrong in (signed(theirs, "ES256"), confused, signed()):
        with pytest.raises(RefusedError):
            await verifier.identify(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"auth": "required"},
        {"jwt_secret": "short"},
        {"jwt_secret": SECRET, "jwt_algorithm": "RS256"},
        {"jwt_public_key": "/no/such/file.pem"},
        {"jwt_public_key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"},
        {"jwt_secret": SECRET, "jwt_public_key": "x"},
        {"api_keys": "alice:secret"},
        {"api_keys_file": "/no/such/keys.jsonl"},
    ],
)
def test_logins_that_could_not_work_are_found_at_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as told:
        Verifier(Settings(**wrong))
    assert SECRET not in str(told.value)
    assert "alice:secret" not in str(told.value)


def test_a_private_key_is_not_taken_for_the_public_one() -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(ConfigurationError, match="private"):
        Verifier(Settings(jwt_public_key=pem))


def test_gems_keys_new_prints_the_line_and_shows_the_key_once() -> None:
    done = CliRunner().invoke(app, ["keys", "new", "alice", "--scope", "admin", "--days", "30"])
    assert done.exit_code == 0
    (entry,) = read_keys(done.stdout, "stdout")
    key = done.stderr.split()[-1]
    assert (entry.name, entry.scopes) == ("alice", ("admin",))
    assert entry.expires is not None
    assert timedelta(days=29) < entry.expires - datetime.now(UTC) <= timedelta(days=30)
    assert key.startswith("gems_")
    assert key not in done.stdout
    wrong = CliRunner().invoke(app, ["keys", "new", "local"])
    assert isinstance(wrong.exception, ConfigurationError)
