"""What an answer says, read as the vendor's own client reads it: one reader a surface, for whole answers and for streams.

Sources: the API references named in `setpoint.testing.*_bytes`, and what the vendors' clients do with an event that is no JSON (they raise
an error) and with an event of a type they do not know (they go on).
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from setpoint.testing.fault_wall.framings import Said, Unreadable, frames, json_lines, sse_events
from setpoint.testing.fault_wall.surfaces import SurfaceName

Document = dict[str, Any]
DONE = b"[DONE]"


class Reading(msgspec.Struct):
    """What was understood so far. `finished`: the reason why the answer ended came. `terminal`: so did the surface's own last event.

    `error` is the message of an error event; nothing is read behind it, as clients raise it at once. `usage` is input and output tokens.
    `protest` says what no answer of this surface can have in it.
    """

    text: str = ""
    finished: bool = False
    terminal: bool = False
    error: str = ""
    usage: tuple[int, int] | None = None
    protest: str = ""


class Reader(msgspec.Struct, frozen=True):
    """`whole` reads a unary document, `step` one event of a stream, `refusal` says whether a document is an error answer of the surface."""

    whole: Callable[[Document, Reading], None]
    step: Callable[[Said, Reading], None]
    refusal: Callable[[Document, dict[str, str], int], bool]
    content_type: str = "text/event-stream"
    events: Callable[[bytes], Iterator[Said]] = sse_events


def read_stream(surface: SurfaceName, body: bytes) -> Reading:
    """Everything up to the first error. Raises Unreadable."""
    reader, reading = READERS[surface], Reading()
    for said in reader.events(body):
        if reading.terminal:
            if said.data != DONE:
                reading.protest = "something follows the end"
            continue
        _walk(reader.step, said, reading)
        if reading.error or reading.protest:
            break
    return reading


def read_whole(surface: SurfaceName, body: bytes) -> Reading:
    """A unary answer. Raises Unreadable."""
    reading = Reading()
    _walk(lambda said, r: READERS[surface].whole(_document(said.data), r), Said("", body), reading)
    return reading


def is_refusal(surface: SurfaceName, status: int, headers: dict[str, str], body: bytes) -> bool:
    """Whether it is an error answer in the shape of the surface, with a message for people."""
    try:
        return bool(READERS[surface].refusal(_document(body), headers, status))
    except (Unreadable, KeyError, TypeError, AttributeError):
        return False


def _walk(step: Callable[[Said, Reading], None], said: Said, reading: Reading) -> None:
    try:
        step(said, reading)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        reading.protest = f"a member is missing or of another type: {error!r} in {said.data[:200]!r}"


def _document(data: bytes) -> Document:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreadable(f"no JSON: {data[:200]!r}") from None
    if not isinstance(found, dict):
        raise Unreadable(f"not an object: {data[:200]!r}")
    return found


# OpenAI


def _chat(document: Document, reading: Reading) -> None:
    choice = document["choices"][0]
    reading.text, reading.finished = choice["message"]["content"] or "", bool(choice["finish_reason"])
    reading.terminal = reading.finished
    reading.usage = _openai_usage(document.get("usage"))


def _completion(document: Document, reading: Reading) -> None:
    choice = document["choices"][0]
    reading.text, reading.finished = choice["text"], bool(choice["finish_reason"])
    reading.terminal = reading.finished
    reading.usage = _openai_usage(document.get("usage"))


def _chat_step(said: Said, reading: Reading) -> None:
    _openai_step(said, reading, lambda choice: choice["delta"].get("content") or "")


def _completion_step(said: Said, reading: Reading) -> None:
    _openai_step(said, reading, lambda choice: choice["text"])


def _openai_step(said: Said, reading: Reading, text: Callable[[Document], str]) -> None:
    if said.data.startswith(DONE):
        reading.terminal = True
        return
    document = _document(said.data)
    if document.get("error"):
        reading.error = document["error"]["message"]
        return
    for choice in document["choices"]:
        reading.text += text(choice)
        reading.finished = reading.finished or bool(choice.get("finish_reason"))
    reading.usage = _openai_usage(document.get("usage")) or reading.usage


def _openai_usage(usage: Document | None) -> tuple[int, int] | None:
    return (usage["prompt_tokens"], usage.get("completion_tokens", 0)) if usage else None


def _openai_refusal(document: Document, _: dict[str, str], __: int) -> bool:
    return bool(document["error"]["message"]) and "type" in document["error"]


def _embeddings(document: Document, reading: Reading) -> None:
    reading.text = msgspec.json.encode([entry["embedding"] for entry in document["data"]]).decode()
    reading.finished = reading.terminal = True


# OpenAI Responses


def _response(document: Document, reading: Reading) -> None:
    if document["status"] == "failed":
        reading.error = document["error"]["message"]
        return
    reading.text = "".join(
        part["text"]
        for item in document["output"]
        if item["type"] == "message"
        for part in item["content"]
        if part["type"] == "output_text"
    )
    reading.finished = reading.terminal = document["status"] in ("completed", "incomplete")
    usage = document.get("usage")
    reading.usage = (usage["input_tokens"], usage["output_tokens"]) if usage else None


def _response_step(said: Said, reading: Reading) -> None:
    if said.data.startswith(DONE):
        return
    document = _document(said.data)
    match document["type"]:
        case "response.output_text.delta":
            reading.text += document["delta"]
        case "response.completed" | "response.incomplete":
            heard = reading.text
            _response(document["response"], reading)
            if reading.text != heard:
                reading.protest = "the deltas are not the text of the response"
        case "response.failed":
            reading.error = document["response"]["error"]["message"]
        case "error":
            reading.error = document.get("message") or document["error"]["message"]
        case _:
            pass


# Anthropic


def _message(document: Document, reading: Reading) -> None:
    reading.text = "".join(block["text"] for block in document["content"] if block["type"] == "text")
    reading.finished = reading.terminal = bool(document["stop_reason"])
    usage = document["usage"]
    reading.usage = (_anthropic_input(usage), usage["output_tokens"])


def _message_step(said: Said, reading: Reading) -> None:
    document = _document(said.data)
    match document["type"]:
        case "message_start":
            reading.usage = (_anthropic_input(document["message"]["usage"]), 0)
        case "content_block_delta":
            reading.text += document["delta"].get("text", "")
        case "message_delta":
            reading.finished = reading.finished or bool(document["delta"].get("stop_reason"))
            usage = document["usage"]
            told = _anthropic_input(usage) or (reading.usage or (0, 0))[0]
            reading.usage = (told, usage["output_tokens"])
        case "message_stop":
            reading.terminal = True
        case "error":
            reading.error = document["error"]["message"]
        case _:
            pass
    if reading.text and reading.usage is None:
        reading.protest = "content before message_start"


def _anthropic_input(usage: Document) -> int:
    return sum(usage.get(name) or 0 for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"))


def _anthropic_refusal(document: Document, _: dict[str, str], __: int) -> bool:
    return document["type"] == "error" and bool(document["error"]["type"]) and bool(document["error"]["message"])


# Gemini


def _gemini(document: Document, reading: Reading) -> None:
    if document.get("error"):
        reading.error = document["error"]["message"]
        return
    for candidate in document.get("candidates", ())[:1]:
        for part in candidate.get("content", {}).get("parts", ()):
            reading.text += "" if part.get("thought") else part.get("text", "")
        reading.finished = reading.finished or bool(candidate.get("finishReason"))
    # Google's streams have no end of their own behind the finish; usage may still follow it.
    usage = document.get("usageMetadata")
    if usage:
        reading.usage = (usage.get("promptTokenCount", 0), usage.get("candidatesTokenCount", 0))


def _gemini_step(said: Said, reading: Reading) -> None:
    _gemini(_document(said.data), reading)


def _gemini_refusal(document: Document, _: dict[str, str], status: int) -> bool:
    error = document["error"]
    return error["code"] == status and bool(error["message"]) and bool(error["status"])


# Bedrock Converse


def _converse(document: Document, reading: Reading) -> None:
    reading.text = "".join(block.get("text", "") for block in document["output"]["message"]["content"])
    reading.finished = reading.terminal = bool(document["stopReason"])
    reading.usage = _bedrock_usage(document["usage"])


def _converse_step(said: Said, reading: Reading) -> None:
    document = _document(said.data)
    if said.name.startswith("!"):
        reading.error = document["message"]
    elif said.name == "contentBlockDelta":
        reading.text += document["delta"].get("text", "")
    elif said.name == "messageStop":
        reading.finished = bool(document["stopReason"])
    elif said.name == "metadata":
        reading.usage, reading.terminal = _bedrock_usage(document["usage"]), True


def _bedrock_usage(usage: Document) -> tuple[int, int]:
    return usage["inputTokens"] + (usage.get("cacheReadInputTokens") or 0), usage["outputTokens"]


def _bedrock_refusal(document: Document, headers: dict[str, str], _: int) -> bool:
    return bool(headers.get("x-amzn-errortype")) and bool(document["message"])


# Cohere


def _cohere(document: Document, reading: Reading) -> None:
    reading.text = "".join(part.get("text", "") for part in document["message"]["content"])
    reading.finished = reading.terminal = bool(document["finish_reason"])
    reading.usage = _cohere_usage(document.get("usage"))


def _cohere_step(said: Said, reading: Reading) -> None:
    if said.data.startswith(DONE):
        return
    document = _document(said.data)
    if document["type"] == "content-delta":
        reading.text += document["delta"]["message"]["content"].get("text", "")
    elif document["type"] == "message-end":
        delta = document["delta"]
        if delta["finish_reason"] in ("ERROR", "TIMEOUT"):
            reading.error = delta.get("error") or "it ended in an error"
        else:
            reading.finished = reading.terminal = True
            reading.usage = _cohere_usage(delta.get("usage"))


def _cohere_usage(usage: Document | None) -> tuple[int, int] | None:
    return (int(usage["tokens"]["input_tokens"]), int(usage["tokens"]["output_tokens"])) if usage else None


def _message_refusal(document: Document, _: dict[str, str], __: int) -> bool:
    return isinstance(document["message"], str) and bool(document["message"])


# Ollama


def _ollama(document: Document, reading: Reading) -> None:
    if document.get("error"):
        reading.error = document["error"]
        return
    reading.text += document["message"].get("content", "")
    if document["done"]:
        reading.finished = reading.terminal = True
        reading.usage = (document.get("prompt_eval_count", 0), document.get("eval_count", 0))


def _ollama_step(said: Said, reading: Reading) -> None:
    _ollama(_document(said.data), reading)


def _ollama_refusal(document: Document, _: dict[str, str], __: int) -> bool:
    return isinstance(document["error"], str) and bool(document["error"])


def _no_step(_: Said, reading: Reading) -> None:
    reading.protest = "this surface has no streams"


READERS: dict[SurfaceName, Reader] = {
    "chat": Reader(_chat, _chat_step, _openai_refusal),
    "responses": Reader(_response, _response_step, _openai_refusal),
    "messages": Reader(_message, _message_step, _anthropic_refusal),
    "gemini": Reader(_gemini, _gemini_step, _gemini_refusal),
    "completions": Reader(_completion, _completion_step, _openai_refusal),
    "converse": Reader(_converse, _converse_step, _bedrock_refusal, "application/vnd.amazon.eventstream", frames),
    "cohere": Reader(_cohere, _cohere_step, _message_refusal),
    "ollama": Reader(_ollama, _ollama_step, _ollama_refusal, "application/x-ndjson", json_lines),
    "embeddings": Reader(_embeddings, _no_step, _openai_refusal),
}
NO_END_OF_THEIR_OWN: frozenset[SurfaceName] = frozenset({"gemini"})
"""Surfaces whose last event is the one with the finish."""
