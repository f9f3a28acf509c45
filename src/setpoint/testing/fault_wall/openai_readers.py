"""How OpenAI's clients read: chat, the older completions, embeddings, and Responses.

Source: https://platform.openai.com/docs/api-reference/chat, /completions, /embeddings, /responses, /responses-streaming
"""

from collections.abc import Callable

import msgspec

from setpoint.testing.fault_wall.framings import Said
from setpoint.testing.fault_wall.reading import DONE, Document, Reading, document_of


def chat(document: Document, reading: Reading) -> None:
    choice = document["choices"][0]
    reading.text, reading.finished = choice["message"]["content"] or "", bool(choice["finish_reason"])
    reading.terminal = reading.finished
    reading.usage = _openai_usage(document.get("usage"))


def completion(document: Document, reading: Reading) -> None:
    choice = document["choices"][0]
    reading.text, reading.finished = choice["text"], bool(choice["finish_reason"])
    reading.terminal = reading.finished
    reading.usage = _openai_usage(document.get("usage"))


def chat_step(said: Said, reading: Reading) -> None:
    _openai_step(said, reading, lambda choice: choice["delta"].get("content") or "")


def completion_step(said: Said, reading: Reading) -> None:
    _openai_step(said, reading, lambda choice: choice["text"])


def _openai_step(said: Said, reading: Reading, text: Callable[[Document], str]) -> None:
    if said.data.startswith(DONE):
        reading.terminal = True
        return
    document = document_of(said.data)
    if document.get("error"):
        reading.error = document["error"]["message"]
        return
    for choice in document["choices"]:
        reading.text += text(choice)
        reading.finished = reading.finished or bool(choice.get("finish_reason"))
    reading.usage = _openai_usage(document.get("usage")) or reading.usage


def _openai_usage(usage: Document | None) -> tuple[int, int] | None:
    return (usage["prompt_tokens"], usage.get("completion_tokens", 0)) if usage else None


def openai_refusal(document: Document, _: dict[str, str], __: int) -> bool:
    return bool(document["error"]["message"]) and "type" in document["error"]


def embeddings(document: Document, reading: Reading) -> None:
    reading.text = msgspec.json.encode([entry["embedding"] for entry in document["data"]]).decode()
    reading.finished = reading.terminal = True


# OpenAI Responses


def response(document: Document, reading: Reading) -> None:
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


def response_step(said: Said, reading: Reading) -> None:
    if said.data.startswith(DONE):
        return
    document = document_of(said.data)
    match document["type"]:
        case "response.output_text.delta":
            reading.text += document["delta"]
        case "response.completed" | "response.incomplete":
            heard = reading.text
            response(document["response"], reading)
            if reading.text != heard:
                reading.protest = "the deltas are not the text of the response"
        case "response.failed":
            reading.error = document["response"]["error"]["message"]
        case "error":
            reading.error = document.get("message") or document["error"]["message"]
        case _:
            pass
