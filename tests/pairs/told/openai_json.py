"""What recorded OpenAI answers say, worked out from their JSON by hand: Chat Completions, Responses, legacy Completions."""

import json
from typing import Any

from tests.pairs.said import Gathered, Said, arguments_of
from tests.pairs.told.events import NotOneAnswerError, datas

STOPS = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def tokens(usage: dict[str, Any] | None) -> tuple[int | None, int | None]:
    """Prompt and completion as the provider's own totals say; xAI and others count reasoning beside the completion."""
    if not usage:
        return None, None
    prompt, completion = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    beside = reasoning and usage.get("total_tokens") == prompt + completion + reasoning
    return prompt, completion + (reasoning if beside else 0)


# ------------------------------------------------------------------------------------------------------ chat completions


def _add_content(content: Any, gathered: Gathered) -> None:
    """A string as a rule; Mistral's is a list when the model thinks."""
    if isinstance(content, str):
        gathered.texts.append(content)
    for part in content if isinstance(content, list) else ():
        if part["type"] == "text":
            gathered.texts.append(part.get("text") or "")
        elif part["type"] == "thinking":
            gathered.thoughts += [inner.get("text") or "" for inner in part["thinking"]]


def _add_message(message: dict[str, Any], gathered: Gathered) -> None:
    details = "".join(detail.get("text") or detail.get("summary") or "" for detail in message.get("reasoning_details") or ())
    gathered.thoughts.append(message.get("reasoning_content") or message.get("reasoning") or details)
    gathered.refusals.append(message.get("refusal") or "")
    _add_content(message.get("content"), gathered)


def chat(body: bytes) -> Said:
    answer = json.loads(body)
    if not answer.get("choices") or "message" not in answer["choices"][0]:
        raise NotOneAnswerError("no chat answer inside")
    choice = answer["choices"][0]
    message = choice["message"]
    gathered = Gathered()
    _add_message(message, gathered)
    for call in message.get("tool_calls") or ():
        gathered.calls.append((call.get("id") or "", call["function"]["name"], arguments_of(call["function"].get("arguments"))))
    if (legacy := message.get("function_call")) and legacy["name"]:
        gathered.calls.append(("", legacy["name"], arguments_of(legacy["arguments"])))
    return gathered.said(STOPS.get(choice.get("finish_reason"), "unknown"), *tokens(answer.get("usage")))


def chat_stream(stream: bytes) -> Said:
    gathered = Gathered()
    calls: dict[Any, list[Any]] = {}
    stop, usage = None, None
    chunks = 0
    for data in datas(stream):
        if data == b"[DONE]":
            break
        chunk = json.loads(data)
        if "error" in chunk:
            raise NotOneAnswerError("failed, as recorded")
        for choice in chunk.get("choices") or ():
            if choice.get("index"):
                continue
            if "delta" not in choice:
                raise NotOneAnswerError("no chat answer inside")
            chunks += 1
            delta = choice["delta"] or {}
            _add_message(delta, gathered)
            stop = choice.get("finish_reason") or stop
            for call in delta.get("tool_calls") or ():
                known = calls.setdefault(call.get("index", 0), [call.get("id") or "", call["function"].get("name"), ""])
                known[2] += call["function"].get("arguments") or ""
        usage = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage") or usage
    if not chunks:
        raise NotOneAnswerError("no chat answer inside")
    gathered.calls = [(call_id, name, arguments_of(text)) for call_id, name, text in calls.values()]
    return gathered.said(STOPS.get(stop or "", "unknown"), *tokens(usage))


# ------------------------------------------------------------------------------------------------------------- responses


def response(body: bytes) -> Said:
    return _response(json.loads(body))


CUSTOM = "custom_tool_input"
"""A custom tool takes free text; other dialects get it as the one member of an object."""


def _response(answer: dict[str, Any]) -> Said:
    if answer.get("status") in {"queued", "in_progress"}:
        raise NotOneAnswerError("not answered yet, as recorded")
    if answer.get("status") == "failed" or answer.get("error"):
        raise NotOneAnswerError("failed, as recorded")
    gathered = Gathered()
    for item in answer["output"]:
        if item["type"] == "message":
            for part in item["content"]:
                gathered.texts.append(part.get("text") or "")
                gathered.refusals.append(part.get("refusal") or "")
        elif item["type"] == "function_call":
            gathered.calls.append((item["call_id"], item["name"], arguments_of(item["arguments"])))
        elif item["type"] == "custom_tool_call":
            gathered.calls.append((item["call_id"], item["name"], {CUSTOM: item["input"]}))
        elif item["type"] == "reasoning":
            shown = item.get("summary") or item.get("content") or ()
            gathered.thoughts += [part["text"] for part in shown]
    reason = (answer.get("incomplete_details") or {}).get("reason")
    stop = {"max_output_tokens": "length", "content_filter": "content_filter"}.get(reason or "", "stop")
    usage = answer.get("usage")
    return gathered.said(stop, usage["input_tokens"] if usage else None, usage["output_tokens"] if usage else None)


def response_stream(stream: bytes) -> Said:
    """The last event repeats the whole response."""
    events = [json.loads(data) for data in datas(stream) if data != b"[DONE]"]
    ends = [event for event in events if event["type"] in {"response.completed", "response.incomplete", "response.failed"}]
    if len(ends) != 1:
        raise NotOneAnswerError("several answers run together")
    told = _response(ends[0]["response"])
    if told.text != "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta"):
        raise NotOneAnswerError("edited: the deltas say less than the end")
    return told


# ---------------------------------------------------------------------------------------------------- legacy completions


def completions(body: bytes) -> Said:
    answer = json.loads(body)
    if not answer.get("choices") or "text" not in answer["choices"][0]:
        raise NotOneAnswerError("no completion inside")
    choice = answer["choices"][0]
    return Said(choice["text"], (), STOPS.get(choice.get("finish_reason"), "unknown"), *tokens(answer.get("usage")))


def completions_stream(stream: bytes) -> Said:
    texts: list[str] = []
    stop, usage = None, None
    for data in datas(stream):
        if data == b"[DONE]":
            break
        chunk = json.loads(data)
        if "error" in chunk:
            raise NotOneAnswerError("failed, as recorded")
        if "choices" not in chunk:
            raise NotOneAnswerError("no completion inside")
        for choice in chunk["choices"] or ():
            if not choice.get("index"):
                texts.append(choice.get("text") or "")
                stop = choice.get("finish_reason") or stop
        usage = chunk.get("usage") or usage
    return Said("".join(texts), (), STOPS.get(stop or "", "unknown"), *tokens(usage))
