"""How the clients of Anthropic, Gemini, Bedrock, Cohere and Ollama read.

Source: the API references named in `setpoint.testing.anthropic_bytes` and its neighbours.
"""

from setpoint.testing.fault_wall.framings import Said
from setpoint.testing.fault_wall.reading import DONE, Document, Reading, document_of

# Anthropic


def message(document: Document, reading: Reading) -> None:
    reading.text = "".join(block["text"] for block in document["content"] if block["type"] == "text")
    reading.finished = reading.terminal = bool(document["stop_reason"])
    usage = document["usage"]
    reading.usage = (_anthropic_input(usage), usage["output_tokens"])


def message_step(said: Said, reading: Reading) -> None:
    document = document_of(said.data)
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


def anthropic_refusal(document: Document, _: dict[str, str], __: int) -> bool:
    return document["type"] == "error" and bool(document["error"]["type"]) and bool(document["error"]["message"])


# Gemini


def gemini(document: Document, reading: Reading) -> None:
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


def gemini_step(said: Said, reading: Reading) -> None:
    gemini(document_of(said.data), reading)


def gemini_refusal(document: Document, _: dict[str, str], status: int) -> bool:
    error = document["error"]
    return error["code"] == status and bool(error["message"]) and bool(error["status"])


# Bedrock Converse


def converse(document: Document, reading: Reading) -> None:
    reading.text = "".join(block.get("text", "") for block in document["output"]["message"]["content"])
    reading.finished = reading.terminal = bool(document["stopReason"])
    reading.usage = _bedrock_usage(document["usage"])


def converse_step(said: Said, reading: Reading) -> None:
    document = document_of(said.data)
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


def bedrock_refusal(document: Document, headers: dict[str, str], _: int) -> bool:
    return bool(headers.get("x-amzn-errortype")) and bool(document["message"])


# Cohere


def cohere(document: Document, reading: Reading) -> None:
    reading.text = "".join(part.get("text", "") for part in document["message"]["content"])
    reading.finished = reading.terminal = bool(document["finish_reason"])
    reading.usage = _cohere_usage(document.get("usage"))


def cohere_step(said: Said, reading: Reading) -> None:
    if said.data.startswith(DONE):
        return
    document = document_of(said.data)
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


def message_refusal(document: Document, _: dict[str, str], __: int) -> bool:
    return isinstance(document["message"], str) and bool(document["message"])


# Ollama


def ollama(document: Document, reading: Reading) -> None:
    if document.get("error"):
        reading.error = document["error"]
        return
    reading.text += document["message"].get("content", "")
    if document["done"]:
        reading.finished = reading.terminal = True
        reading.usage = (document.get("prompt_eval_count", 0), document.get("eval_count", 0))


def ollama_step(said: Said, reading: Reading) -> None:
    ollama(document_of(said.data), reading)


def ollama_refusal(document: Document, _: dict[str, str], __: int) -> bool:
    return isinstance(document["error"], str) and bool(document["error"])
