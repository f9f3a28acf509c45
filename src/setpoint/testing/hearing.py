"""What a client's answer says, whatever its dialect and whether it was streamed."""

from typing import Any

import msgspec

from setpoint.testing.raw_client import Received


def heard_text(received: Received) -> str:
    """The text of an answer; empty for an error or a tool call."""
    if "text/event-stream" in received.headers.get("content-type", ""):
        return sse_text(received.body)
    return _unary_text(msgspec.json.decode(received.body)) if received.body else ""


def sse_documents(body: bytes) -> list[Any]:
    """The JSON documents of a stream's data lines, `[DONE]` left out. A line that was cut off is left out too."""
    lines = [line.removeprefix(b"data:").strip() for line in body.splitlines() if line.startswith(b"data:")]
    documents = []
    for line in lines:
        try:
            documents.append(msgspec.json.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return documents


def sse_text(body: bytes) -> str:
    """The text of a stream in OpenAI's or Anthropic's shape."""
    return "".join(_delta_text(document) for document in sse_documents(body))


def sse_error(body: bytes) -> dict[str, Any] | None:
    """The error event of a stream, if it has one: the object under `error`."""
    return next((document["error"] for document in sse_documents(body) if document.get("error")), None)


def is_terminated(body: bytes) -> bool:
    """Whether a stream ends as a complete one does: `[DONE]`, or `message_stop`."""
    return b"data: [DONE]" in body or b'"type":"message_stop"' in body.replace(b" ", b"")


def _delta_text(document: dict[str, Any]) -> str:
    if document.get("type") == "content_block_delta":
        return str(document["delta"].get("text", ""))
    return "".join(choice.get("delta", {}).get("content") or "" for choice in document.get("choices", []))


def _unary_text(document: dict[str, Any]) -> str:
    if document.get("type") == "message":
        return "".join(block.get("text", "") for block in document["content"])
    return "".join(choice["message"].get("content") or "" for choice in document.get("choices", []))
