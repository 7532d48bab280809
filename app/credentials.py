"""API keys and JSON Web Tokens: what a caller shows, and who that makes them.

Keys are 256 random bits, so their plain SHA-256 is enough to keep: a slow hash protects secrets
that can be guessed. A token's algorithm is fixed by configuration and never read from the token.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from ..errors import ConfigurationError
from ..memory.ownership import LOCAL_USER
from ..settings import Settings

KEY_PREFIX = "gems_"
"""So that secret scanners and people know what they have found."""

SCOPES = ("admin", "metrics")
"""What a key may carry: `admin` sees and may do everything, `metrics` reads `/metrics`."""

JWT_SCOPES = {"gems:admin": "admin", "gems:metrics": "metrics"}
"""Scopes in a token's `scope` claim; the prefix keeps another application's `admin` from counting
here."""

RESERVED = frozenset({LOCAL_USER, "langgraph-studio-user"})
"""Names that stand for callers without a login."""

_LONGEST_NAME = 200
_LONGEST_CREDENTIAL = 8192
_RECHECK_SECONDS = 2.0
_LEEWAY_SECONDS = 30


@dataclass(frozen=True)
class Identity:
    """Who calls.

    Attributes:
        name: Key name or token subject; owner of what they make.
        scopes: Some of `SCOPES`.
    """

    name: str
    scopes: frozenset[str] = frozenset()

    @property
    def admin(self) -> bool:
        """Whether they may see and do everything."""
        return "admin" in self.scopes


class RefusedError(Exception):
    """A credential does not hold; the message may be told to whoever showed it."""


class KeyEntry(BaseModel):
    """One line of the keys file.

    Attributes:
        name: Who the key belongs to.
        sha256: Hex digest of the key.
        scopes: Some of `SCOPES`.
        expires: When it stops to count, with a time zone; None for never.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=_LONGEST_NAME)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: tuple[str, ...] = ()
    expires: datetime | None = None

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if value in RESERVED or value != value.strip() or not value.isprintable():
            raise ValueError("reserved, or not printable")
        return value

    @field_validator("scopes")
    @classmethod
    def _scopes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not set(value) <= set(SCOPES):
            raise ValueError(f"unknown; there are {', '.join(SCOPES)}")
        return value

    @field_validator("expires")
    @classmethod
    def _expires(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("has no time zone")
        return value


def new_key(
    name: str, scopes: tuple[str, ...] = (), expires: datetime | None = None
) -> tuple[str, KeyEntry]:
    """Returns a fresh key and the entry that lets it in; the key itself is kept nowhere.

    Raises:
        ConfigurationError: The name or a scope does not fit.
    """
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    try:
        entry = KeyEntry(name=name, sha256=_digest(key), scopes=scopes, expires=expires)
    except ValidationError as error:
        raise ConfigurationError(_said(error, "The key")) from None
    return key, entry


def read_keys(text: str, where: str) -> list[KeyEntry]:
    """Returns the entries of a keys file: JSON objects, one a line, or a JSON array.

    Empty lines and lines that begin with `#` are left out.

    Raises:
        ConfigurationError: A line is malformed, or two have the same key; it is named by its
            number, never quoted.
    """
    text = text.lstrip("\ufeff").strip()
    if text.startswith("["):
        try:
            entries = TypeAdapter(list[KeyEntry]).validate_json(text)
        except ValidationError as error:
            raise ConfigurationError(_said(error, where)) from None
    else:
        entries = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                entries.append(KeyEntry.model_validate_json(line))
            except ValidationError as error:
                raise ConfigurationError(_said(error, f"{where}, line {number}")) from None
    if len({entry.sha256 for entry in entries}) < len(entries):
        raise ConfigurationError(f"{where}: the same key stands there twice.")
    return entries


def _said(error: ValidationError, where: str) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{where}: {place + ': ' if place else ''}{first['msg']}."


class Verifier:
    """Says who a credential belongs to, as the settings configure it."""

    def __init__(self, settings: Settings) -> None:
        """Reads the configuration once; the keys file is read again when it changes.

        Raises:
            ConfigurationError: Keys or JWT settings are malformed or contradict each other, or
                logins are required and nobody could log in.
        """
        self._file = settings.api_keys_file
        self._fixed: list[KeyEntry] = []
        if settings.api_keys is not None:
            self._fixed = read_keys(settings.api_keys.get_secret_value(), "GEMS_API_KEYS")
        self._from_file: list[KeyEntry] = []
        self._stamp: tuple[int, int] | None = None
        self._checked = 0.0
        self._tokens = _token_rules(settings)
        self._refresh()
        if settings.logins and not (self._fixed or self._file or self._tokens):
            raise ConfigurationError(
                "GEMS_AUTH is 'required', but there are no keys and no JWT verifier.",
                hint="Make a key with `gems keys new NAME` and set GEMS_API_KEYS_FILE.",
            )

    async def identify(self, credential: str) -> Identity:
        """Returns who shows this credential.

        Raises:
            RefusedError: It is unknown, broken, expired or meant for somebody else.
            ConfigurationError: The keys file can't be read any more; then nobody gets in by key.
        """
        if len(credential) > _LONGEST_CREDENTIAL:
            raise RefusedError("The credential is too long.")
        if credential.startswith(KEY_PREFIX):
            if time.monotonic() - self._checked > _RECHECK_SECONDS:
                await asyncio.to_thread(self._refresh)
            return self._by_key(credential)
        if self._tokens is not None:
            return self._by_token(credential, self._tokens)
        raise RefusedError("The API key is not valid.")

    def _refresh(self) -> None:
        self._checked = time.monotonic()
        if self._file is None:
            return
        try:
            status = self._file.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            text = self._file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self._from_file, self._stamp = [], None
            why = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
            raise ConfigurationError(f"GEMS_API_KEYS_FILE can't be read: {why}.") from None
        self._from_file, self._stamp = [], None  # a damaged file lets nobody in
        self._from_file = read_keys(text, f"GEMS_API_KEYS_FILE ({self._file.name})")
        self._stamp = stamp

    def _by_key(self, key: str) -> Identity:
        digest = _digest(key)
        found: KeyEntry | None = None
        for entry in (*self._fixed, *self._from_file):
            if hmac.compare_digest(entry.sha256, digest):
                found = entry
        if found is None:
            raise RefusedError("The API key is not valid.")
        if found.expires is not None and found.expires <= datetime.now(UTC):
            raise RefusedError("The API key has expired.")
        return Identity(found.name, frozenset(found.scopes))

    @staticmethod
    def _by_token(token: str, rules: _TokenRules) -> Identity:
        import jwt

        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                rules.key,
                algorithms=[rules.algorithm],
                audience=rules.audience,
                issuer=rules.issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "sub"], "verify_aud": rules.audience is not None},
            )
        except jwt.ExpiredSignatureError:
            raise RefusedError("The token has expired.") from None
        # A hostile token may also trip the decoder itself (ValueError, TypeError, RecursionError);
        # why it failed is of no use to whoever made it.
        except Exception:  # noqa: BLE001
            raise RefusedError("The token is not valid.") from None
        name = claims["sub"]
        if (
            not isinstance(name, str)
            or not 0 < len(name) <= _LONGEST_NAME
            or name != name.strip()
            or not name.isprintable()
            or name in RESERVED
        ):
            raise RefusedError("The token's subject can't be a user's name.")
        scope = claims.get("scope")
        granted = scope.split() if isinstance(scope, str) else []
        return Identity(name, frozenset(JWT_SCOPES[item] for item in granted if item in JWT_SCOPES))


@dataclass(frozen=True)
class _TokenRules:
    key: str
    algorithm: str
    audience: str | None
    issuer: str | None

    def __repr__(self) -> str:  # the key may be a secret
        return f"_TokenRules({self.algorithm})"


def _token_rules(settings: Settings) -> _TokenRules | None:
    secret, public = settings.jwt_secret, settings.jwt_public_key
    if secret is None and public is None:
        return None
    if secret is not None and public is not None:
        raise ConfigurationError(
            "GEMS_JWT_SECRET and GEMS_JWT_PUBLIC_KEY are both set.", hint="Keep one of them."
        )
    try:
        import jwt  # noqa: F401 - found out here, not at the first request
    except ImportError:
        raise ConfigurationError(
            "Tokens need a package that is not installed.",
            hint="Run: pip install 'gems-graph[server]'",
        ) from None
    algorithm = settings.jwt_algorithm or ("HS256" if secret is not None else "RS256")
    if (secret is not None) != algorithm.startswith("HS"):
        raise ConfigurationError(
            f"GEMS_JWT_ALGORITHM is {algorithm}, which does not fit the kind of key.",
            hint="HS… goes with GEMS_JWT_SECRET, all others with GEMS_JWT_PUBLIC_KEY.",
        )
    if secret is not None:
        key = secret.get_secret_value()
        smallest = int(algorithm[2:]) // 8  # as long as the hash: RFC 7518, 3.2
        if len(key.encode()) < smallest:
            raise ConfigurationError(
                f"GEMS_JWT_SECRET is shorter than {smallest} bytes.",
                hint="A short secret can be guessed from any token; take random bytes.",
            )
    else:
        key = _public_key(public or "", algorithm)
    return _TokenRules(key, algorithm, settings.jwt_audience, settings.jwt_issuer)


def _public_key(given: str, algorithm: str) -> str:
    import jwt

    pem = given
    if "-----BEGIN" not in given:
        try:
            pem = Path(given).read_text("ascii")
        except (OSError, ValueError):
            raise ConfigurationError(
                "GEMS_JWT_PUBLIC_KEY is neither PEM text nor a readable file."
            ) from None
    if "PRIVATE" in pem:
        raise ConfigurationError(
            "GEMS_JWT_PUBLIC_KEY holds a private key.", hint="The server needs the public one only."
        )
    try:
        jwt.get_algorithm_by_name(algorithm).prepare_key(pem)
    # The cryptography package raises ValueError, UnsupportedAlgorithm, InvalidKeyError ….
    except Exception:  # noqa: BLE001
        raise ConfigurationError(f"GEMS_JWT_PUBLIC_KEY is no public key for {algorithm}.") from None
    return pem


def as_line(entry: KeyEntry) -> str:
    """Returns the entry as one line of a keys file."""
    return json.dumps(entry.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
