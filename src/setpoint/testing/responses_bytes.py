"""Replies as OpenAI's Responses wire format, written by hand so that they share no code with the dialect under test.

Source: https://platform.openai.com/docs/api-reference/responses, /responses-streaming. Refusals are those of `openai_bytes`.
"""

from typing import Any

import msgspec

from setpoint.testing.openai_bytes import CREATED_S
from setpoint.testing.replies import Call, Ending, Reply

_json = msgspec.json.Encoder().encode
_REASONS: dict[Ending, str] = {"length": "max_output_tokens", "filtered": "content_filter"}

_REPEATED = ("instructions", "max_output_tokens", "metadata", "parallel_tool_calls", "temperature", "text", "tool_choice", "tools", "top_p")


def response(reply: Reply, model: str, asked: dict[str, Any]) -> bytes:
    """`asked` is the body of the request: OpenAI repeats what was set there, and clients read it."""
    return _json(_whole(reply, model, asked))


def events(reply: Reply, model: str, asked: dict[str, Any]) -> tuple[bytes, ...]:
    """A stream, one event each."""
    whole = _whole(reply, model, asked)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    said: list[tuple[str, dict[str, Any]]] = [("response.created", {"response": begun}), ("response.in_progress", {"response": begun})]
    for index, item in enumerate(whole["output"]):
        said += _item_events(index, item, reply)
    said.append((f"response.{whole['status']}", {"response": whole}))
    return tuple(_event(kind, no, members) for no, (kind, members) in enumerate(said))


def error_event() -> bytes:
    """What OpenAI sends when a stream fails after its head."""
    message = "the fake upstream failed in mid-stream"
    return _event("error", 99, {"code": "server_error", "message": message, "param": None})


def _whole(reply: Reply, model: str, asked: dict[str, Any]) -> dict[str, Any]:
    reason = _REASONS.get(reply.ending)
    repeated = {name: asked[name] for name in _REPEATED if asked.get(name) is not None}
    return {
        "id": "resp_fake", "object": "response", "created_at": CREATED_S, "status": "incomplete" if reason else "completed",
        "background": False, "error": None, "incomplete_details": {"reason": reason} if reason else None, "instructions": None,
        "max_output_tokens": None, "model": reply.model or model, "output": _output(reply), "parallel_tool_calls": True,
        "previous_response_id": None, "reasoning": {"effort": None, "summary": None}, "service_tier": "default", "store": True,
        "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "usage": _usage(reply), "user": None, "metadata": {}, **repeated,
    }  # fmt: skip


def _usage(reply: Reply) -> dict[str, Any]:
    return {
        "input_tokens": reply.input_tokens,
        "input_tokens_details": {"cached_tokens": reply.cached_tokens},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": reply.thinking_tokens},
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }


def _output(reply: Reply) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if reply.thinking:
        items.append({"id": "rs_fake", "type": "reasoning", "summary": [{"type": "summary_text", "text": reply.thinking}]})
    if reply.pieces:
        items.append({"id": "msg_fake", "type": "message", "status": "completed", "role": "assistant", "content": [_text(reply.text)]})
    return items + [_function_call(no, call) for no, call in enumerate(reply.calls)]


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _function_call(no: int, call: Call) -> dict[str, Any]:
    ids = {"id": f"fc_fake{no}", "call_id": call.id}
    return {"type": "function_call", "status": "completed", "name": call.name, "arguments": call.arguments, **ids}


def _item_events(index: int, item: dict[str, Any], reply: Reply) -> list[tuple[str, dict[str, Any]]]:
    at = {"item_id": item["id"], "output_index": index}
    match item["type"]:
        case "reasoning":
            begun, inside = {**item, "summary": []}, _summary_events({**at, "summary_index": 0}, reply.thinking)
        case "message":
            begun = {**item, "status": "in_progress", "content": []}
            inside = _text_events({**at, "content_index": 0}, reply)
        case _:
            begun = {**item, "status": "in_progress", "arguments": ""}
            inside = _argument_events(at, item["name"], item["arguments"])
    added = ("response.output_item.added", {"output_index": index, "item": begun})
    return [added, *inside, ("response.output_item.done", {"output_index": index, "item": item})]


def _summary_events(at: dict[str, Any], text: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("response.reasoning_summary_part.added", {**at, "part": {"type": "summary_text", "text": ""}}),
        ("response.reasoning_summary_text.delta", {**at, "delta": text}),
        ("response.reasoning_summary_text.done", {**at, "text": text}),
        ("response.reasoning_summary_part.done", {**at, "part": {"type": "summary_text", "text": text}}),
    ]


def _text_events(at: dict[str, Any], reply: Reply) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("response.content_part.added", {**at, "part": _text("")}),
        *(("response.output_text.delta", {**at, "delta": piece, "logprobs": []}) for piece in reply.pieces),
        ("response.output_text.done", {**at, "text": reply.text, "logprobs": []}),
        ("response.content_part.done", {**at, "part": _text(reply.text)}),
    ]


def _argument_events(at: dict[str, Any], name: str, arguments: str) -> list[tuple[str, dict[str, Any]]]:
    half = len(arguments) // 2
    deltas = [part for part in (arguments[:half], arguments[half:]) if part]
    done = ("response.function_call_arguments.done", {**at, "name": name, "arguments": arguments})
    return [*(("response.function_call_arguments.delta", {**at, "delta": part}) for part in deltas), done]


def _event(kind: str, no: int, members: dict[str, Any]) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _json({"type": kind, "sequence_number": no, **members}) + b"\n\n"
