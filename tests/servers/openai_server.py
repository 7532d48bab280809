"""A real HTTP server on loopback that speaks OpenAI's chat completions, well or badly.

Requests are checked as strictly as OpenAI checks them (an unknown field is HTTP 400), answers are
validated with the `openai` client's own models before they leave. `behaviours` are lasting traits
of an endpoint (it ignores schemas, it takes one image); `faults` each spoil one request.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal, Self

from langchain_core.messages import convert_to_messages
from openai.types.chat import ChatCompletion, ChatCompletionChunk

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.language_models import BaseChatModel

Behaviour = Literal[
    "schema ignored",
    "schema echoed",
    "schema empty",
    "schema refused",
    "schema crashes",
    "schema in reasoning",
    "schema cut off",
    "tools refused",
    "tools ignored",
    "tool arguments broken",
    "logprobs refused",
    "logprobs at most 5",
    "logprobs left out",
    "one image",
    "no images",
    "reasoning_content",
    "reasoning",
    "think tags",
    "stream_options refused",
]

_FIELDS = {
    "extra_body_probe",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "n",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning_effort",
    "response_format",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
}


@dataclass(frozen=True)
class Fault:
    """How one request goes wrong.

    Attributes:
        kind: `status` answers with an error, `drop` closes the connection without an answer,
            `hang` answers nothing for `seconds`, `truncated` sends half of the JSON with a correct
            length, `cut` announces more bytes than it sends (a stream just ends), `html` sends a
            web page with HTTP 200, `error in 200` sends an error object with HTTP 200
            (OpenRouter).
    """

    kind: Literal["status", "drop", "hang", "truncated", "cut", "html", "error in 200"]
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    message: str = "The server had an error."


@dataclass
class Received:
    """A request as it came."""

    body: dict[str, Any]
    headers: dict[str, str]
    size: int
    at: float

    @property
    def images(self) -> list[bytes]:
        """The bytes of its images, in their order."""
        return [
            base64.b64decode(part["image_url"]["url"].partition(",")[2])
            for part in self.parts
            if part["type"] == "image_url"
        ]

    @property
    def parts(self) -> list[dict[str, Any]]:
        """All content parts of all messages."""
        found: list[dict[str, Any]] = []
        for message in self.body["messages"]:
            content = message.get("content")
            if isinstance(content, str):
                found.append({"type": "text", "text": content})
            found += content if isinstance(content, list) else []
        return found


class _RefusedError(Exception):
    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class OpenAIServer:
    """The server; use as a context manager.

    Attributes:
        answer: What a schema or a tool call is filled with; a list gives one per request.
        text: What is said without a schema; a function gets the request body.
        thought: The reasoning, shown as the behaviours say.
        model: Answers in place of `answer`, `text` and `thought`; the behaviours still spoil it.
        logprobs: Log-probabilities by token for the first token; others get -0.1.
        key: The bearer key that is required; None takes any.
        delay: Seconds before each answer.
        requests: What was received, refused requests too.
        most_at_once: The largest number of requests that were being answered together.
    """

    def __init__(self, *behaviours: Behaviour) -> None:
        self.behaviours: set[str] = set(behaviours)
        self.faults: deque[Fault] = deque()
        self.answer: Any = {}
        self.text: str | Callable[[dict[str, Any]], str] = "Yes\nIt is there."
        self.thought = ""
        self.model: BaseChatModel | None = None
        self.logprobs: dict[str, float] = {}
        self.key: str | None = None
        self.delay = 0.0
        self.requests: list[Received] = []
        self.most_at_once = 0
        self._running = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def url(self) -> str:
        """The base URL that clients are given."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                server._serve(self)

        return Handler

    # --- one request --------------------------------------------------------------------------

    def _serve(self, http: BaseHTTPRequestHandler) -> None:
        raw = http.rfile.read(int(http.headers["Content-Length"]))
        with self._lock:
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
            fault = self.faults.popleft() if self.faults else None
            headers = {name.lower(): value for name, value in http.headers.items()}
            body = json.loads(raw)
            self.requests.append(Received(body, headers, len(raw), time.monotonic()))
            number = len(self.requests)
        try:
            self._closing.wait(self.delay)
            self._answer(http, body, fault, number)
        except (BrokenPipeError, ConnectionResetError):
            http.close_connection = True  # the client has gone
        finally:
            with self._lock:
                self._running -= 1

    def _answer(
        self, http: BaseHTTPRequestHandler, body: dict[str, Any], fault: Fault | None, number: int
    ) -> None:
        if fault is not None and self._spoil(http, fault):
            return
        try:
            if http.path != "/v1/chat/completions":
                raise _RefusedError(f"Unknown path {http.path}", 404)
            self._check_key(http.headers.get("Authorization", ""))
            check_request(body)
            self._check_traits(body)
        except _RefusedError as error:
            _send_error(http, error.status, str(error))
            return
        message, finish = self._message(body, number)
        logprobs = self._logprobs(body, message)
        if body.get("stream"):
            cut = fault is not None and fault.kind == "cut"
            self._stream(http, body, message, finish, logprobs, cut=cut)
            return
        data = json.dumps(_completion(body, message, finish, logprobs)).encode()
        if fault is not None and fault.kind == "truncated":
            data = data[: len(data) // 2]
        if fault is not None and fault.kind == "cut":
            _send(http, 200, data[: len(data) // 2], length=len(data))
            _drop(http)
            return
        _send(http, 200, data)

    def _spoil(self, http: BaseHTTPRequestHandler, fault: Fault) -> bool:
        if fault.kind == "status":
            _send_error(http, fault.status, fault.message, fault.headers)
        elif fault.kind == "drop":
            _drop(http)
        elif fault.kind == "hang":
            self._closing.wait(fault.seconds)
            _drop(http)
        elif fault.kind == "html":
            page = b"<html><body>Welcome to nginx!</body></html>"
            _send(http, 200, page, kind="text/html")
        elif fault.kind == "error in 200":
            error = {"error": {"message": fault.message, "code": fault.status}}
            _send(http, 200, json.dumps(error).encode())
        else:
            return False
        return True

    def _check_key(self, header: str) -> None:
        given = header.removeprefix("Bearer ")
        if self.key is not None and given != self.key:
            raise _RefusedError(f"Incorrect API key provided: {given}.", 401)

    def _check_traits(self, body: dict[str, Any]) -> None:
        images = sum(part["type"] == "image_url" for part in Received(body, {}, 0, 0).parts)
        if "one image" in self.behaviours and images > 1:
            raise _RefusedError("At most 1 image(s) may be provided in one request.")
        if "no images" in self.behaviours and images:
            raise _RefusedError("image input is not supported - you may need the mmproj", 500)
        if "schema refused" in self.behaviours and "response_format" in body:
            raise _RefusedError("response_format is not supported by this model")
        if "schema crashes" in self.behaviours and "response_format" in body:
            raise _RefusedError("Failed to compile the grammar of the json_schema", 500)
        if "tools refused" in self.behaviours and "tools" in body:
            raise _RefusedError('"auto" tool choice requires --enable-auto-tool-choice')
        if "logprobs refused" in self.behaviours and body.get("logprobs"):
            raise _RefusedError("logprobs are not supported with reasoning models.")
        if "logprobs at most 5" in self.behaviours and body.get("top_logprobs", 0) > 5:
            raise _RefusedError("top_logprobs must be less than or equal to 5.")
        if "stream_options refused" in self.behaviours and "stream_options" in body:
            raise _RefusedError("Unrecognized request argument supplied: stream_options")

    def _message(self, body: dict[str, Any], number: int) -> tuple[dict[str, Any], str]:
        traits = self.behaviours
        content, thought, finish, calls = self._said(body, number)
        if "response_format" in body:
            if "schema ignored" in traits:
                content, calls = "I would say: it is fine as it is.", []
            elif "schema echoed" in traits:
                content = json.dumps(body["response_format"]["json_schema"]["schema"])
            elif "schema empty" in traits:
                content = ""
            elif "schema in reasoning" in traits:
                content, thought = None, content
            elif "schema cut off" in traits:
                content, finish = (content or "")[: len(content or "") // 2], "length"
        elif "tools" in body and "tools ignored" in traits:
            content, calls, finish = "I have no tools.", [], "stop"
        for call in calls:
            if "tool arguments broken" in traits:
                call["function"]["arguments"] = call["function"]["arguments"][:-2]
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if calls:
            message["tool_calls"] = calls
        if thought and "think tags" in traits:
            message["content"] = f"<think>\n{thought}\n</think>\n\n{content or ''}"
        elif thought:
            message["reasoning" if "reasoning" in traits else "reasoning_content"] = thought
        return message, finish

    def _said(
        self, body: dict[str, Any], number: int
    ) -> tuple[str | None, str, str, list[dict[str, Any]]]:
        """Returns (content, reasoning, finish reason, tool calls) as a good endpoint says it."""
        if self.model is not None:
            options = {key: body[key] for key in ("response_format", "tools") if key in body}
            if isinstance(body.get("tool_choice"), dict):
                options["tool_choice"] = _chosen_tool(body)
            reply = self.model.invoke(convert_to_messages(body["messages"]), **options)
            calls = [_call(call["name"], call["args"], call["id"]) for call in reply.tool_calls]
            thought = reply.additional_kwargs.get("reasoning_content", "")
            return str(reply.text) or None, thought, "tool_calls" if calls else "stop", calls
        if "response_format" in body:
            return json.dumps(self._made(number)), self.thought, "stop", []
        if "tools" in body:
            call = _call(_chosen_tool(body), self._made(number), "call_1")
            return None, self.thought, "tool_calls", [call]
        text = self.text(body) if callable(self.text) else self.text
        return text, self.thought, "stop", []

    def _made(self, number: int) -> Any:
        if isinstance(self.answer, list):
            return self.answer[min(number, len(self.answer)) - 1]
        return self.answer

    def _logprobs(self, body: dict[str, Any], message: dict[str, Any]) -> dict[str, Any] | None:
        if not body.get("logprobs") or "logprobs left out" in self.behaviours:
            return None
        # As vLLM does, the reasoning's tokens are listed too.
        thought = message.get("reasoning_content") or message.get("reasoning") or ""
        entries = []
        for token in [*_tokens(thought), *_tokens(message["content"] or "")]:
            logprob = self.logprobs.get(token, -0.1)
            others = {token: logprob, **self.logprobs}
            top = sorted(others.items(), key=lambda item: -item[1])[: body.get("top_logprobs", 0)]
            entries.append(
                {
                    "token": token,
                    "logprob": logprob,
                    "bytes": list(token.encode()),
                    "top_logprobs": [
                        {"token": each, "logprob": value, "bytes": list(each.encode())}
                        for each, value in top
                    ],
                }
            )
        return {"content": entries, "refusal": None}

    def _stream(
        self,
        http: BaseHTTPRequestHandler,
        body: dict[str, Any],
        message: dict[str, Any],
        finish: str,
        logprobs: dict[str, Any] | None,
        *,
        cut: bool,
    ) -> None:
        http.send_response(200)
        http.send_header("Content-Type", "text/event-stream")
        http.send_header("Connection", "close")
        http.end_headers()
        http.close_connection = True
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        for name in ("reasoning_content", "reasoning", "content"):
            text = message.get(name) or ""
            deltas += [{name: text[at : at + 3]} for at in range(0, len(text), 3)]
        for index, call in enumerate(message.get("tool_calls", [])):
            deltas.append({"tool_calls": [{"index": index, **call}]})
        events = [_chunk(body, delta, None, None) for delta in deltas]
        if logprobs:
            events.append(_chunk(body, {"content": ""}, None, logprobs))
        events.append(_chunk(body, {}, finish, None))
        if (body.get("stream_options") or {}).get("include_usage"):
            events.append({**_chunk(body, {}, None, None), "choices": [], "usage": _USAGE})
        for event in events[: len(events) // 2] if cut else events:
            ChatCompletionChunk.model_validate(event)
            http.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
            http.wfile.flush()
        if not cut:
            http.wfile.write(b"data: [DONE]\n\n")


# --- the protocol ---------------------------------------------------------------------------------

_USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def check_request(body: dict[str, Any]) -> None:
    """Raises `_RefusedError` where OpenAI would answer HTTP 400."""
    for name in body.keys() - _FIELDS:
        raise _RefusedError(f"Unrecognized request argument supplied: {name}")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise _RefusedError("you must provide a model parameter")
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise _RefusedError("[] is too short - 'messages'")
    for message in body["messages"]:
        _check_message(message)
    if "top_logprobs" in body and not body.get("logprobs"):
        raise _RefusedError("'logprobs' must be true when 'top_logprobs' is used")
    if not 0 <= body.get("top_logprobs", 0) <= 20:
        raise _RefusedError("'top_logprobs' must be between 0 and 20")
    if "response_format" in body:
        _check_format(body["response_format"])
    for tool in body.get("tools", []):
        if tool.get("type") != "function" or not re.fullmatch(
            r"[\w-]{1,64}", tool["function"]["name"]
        ):
            raise _RefusedError("Invalid 'tools'")
    if "tool_choice" in body and "tools" not in body:
        raise _RefusedError("'tool_choice' is only allowed when 'tools' are specified")


def _check_message(message: dict[str, Any]) -> None:
    if message.get("role") not in ("system", "developer", "user", "assistant", "tool"):
        raise _RefusedError(f"Invalid role {message.get('role')!r}")
    content = message.get("content")
    if content is None and not message.get("tool_calls"):
        raise _RefusedError("Invalid value for 'content': expected a string, got null")
    for part in content if isinstance(content, list) else []:
        if part.get("type") == "text" and isinstance(part.get("text"), str) and len(part) == 2:
            continue
        if part.get("type") != "image_url" or message["role"] != "user" or len(part) != 2:
            raise _RefusedError(f"Invalid content part {part.get('type')!r}")
        url = part["image_url"]["url"]
        match = re.match(r"data:image/(png|jpeg|webp|gif);base64,", url)
        if match is None:
            raise _RefusedError("Invalid image URL")
        head = base64.b64decode(url[match.end() :], validate=True)[:12]
        kinds = {"png": b"\x89PNG", "jpeg": b"\xff\xd8\xff", "webp": b"RIFF", "gif": b"GIF8"}
        if not head.startswith(kinds[match[1]]):
            raise _RefusedError("The image data does not match its media type")


def _check_format(given: dict[str, Any]) -> None:
    if given.get("type") != "json_schema":
        raise _RefusedError(f"Invalid response_format type {given.get('type')!r}")
    inner = given["json_schema"]
    if not re.fullmatch(r"[\w-]{1,64}", inner.get("name", "")):
        raise _RefusedError("Invalid 'response_format.json_schema.name'")
    if inner.get("strict"):
        _check_strict(inner["schema"])


def _check_strict(node: Any) -> None:
    """Refuses what OpenAI's strict mode refuses."""
    if isinstance(node, list):
        for each in node:
            _check_strict(each)
    if not isinstance(node, dict):
        return
    if "$ref" in node and len(node) > 1:
        raise _RefusedError("Invalid schema: $ref cannot have keywords")
    if "default" in node or "minLength" in node or "maxLength" in node:
        raise _RefusedError("Invalid schema: keyword is not permitted")
    if node.get("type") == "object":
        if node.get("additionalProperties") is not False:
            raise _RefusedError("Invalid schema: 'additionalProperties' must be false")
        if set(node.get("required", [])) != set(node.get("properties", {})):
            raise _RefusedError("Invalid schema: 'required' must list every property")
    for key, value in node.items():
        _check_strict(list(value.values()) if key in ("properties", "$defs") else value)


def _chosen_tool(body: dict[str, Any]) -> str:
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        return str(choice["function"]["name"])
    return str(body["tools"][0]["function"]["name"])


def _call(name: str, arguments: Any, call_id: str | None) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": call_id or "call_1", "type": "function", "function": function}


def _tokens(text: str) -> list[str]:
    return re.findall(r"\s?\w+|\W", text)


def _completion(
    body: dict[str, Any], message: dict[str, Any], finish: str, logprobs: dict[str, Any] | None
) -> dict[str, Any]:
    completion = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": body["model"],
        "choices": [
            {"index": 0, "message": message, "finish_reason": finish, "logprobs": logprobs}
        ],
        "usage": _USAGE,
    }
    ChatCompletion.model_validate(completion)
    return completion


def _chunk(
    body: dict[str, Any],
    delta: dict[str, Any],
    finish: str | None,
    logprobs: dict[str, Any] | None,
) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": body["model"],
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": logprobs}],
    }


def _send(
    http: BaseHTTPRequestHandler,
    status: int,
    data: bytes,
    *,
    kind: str = "application/json",
    length: int | None = None,
    headers: dict[str, str] | None = None,
) -> None:
    http.send_response(status)
    http.send_header("Content-Type", kind)
    http.send_header("Content-Length", str(len(data) if length is None else length))
    for name, value in (headers or {}).items():
        http.send_header(name, value)
    http.end_headers()
    http.wfile.write(data)
    http.wfile.flush()


def _send_error(
    http: BaseHTTPRequestHandler,
    status: int,
    message: str,
    headers: dict[str, str] | None = None,
) -> None:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    _send(http, status, json.dumps({"error": error}).encode(), headers=headers)


def _drop(http: BaseHTTPRequestHandler) -> None:
    http.close_connection = True
    http.connection.shutdown(socket.SHUT_RDWR)
