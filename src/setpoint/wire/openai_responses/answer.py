"""A unary Responses answer, from bytes to nouns and back."""

import msgspec

from setpoint.domain.chat import ChatAnswer, Refusal, ToolCall
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.usage import Usage
from setpoint.wire.bodies import unread_answer
from setpoint.wire.openai_responses.facts import IncompleteDetails, UsageShape, usage_classes, usage_shape
from setpoint.wire.openai_responses.faults import fault_inside
from setpoint.wire.openai_responses.items_in import Parts
from setpoint.wire.openai_responses.items_out import Item, items_of
from setpoint.wire.openai_responses.repeated import repeated
from setpoint.wire.openai_responses.words import finish_of, id_core, response_id, status_of
from setpoint.wire.openai_responses.words import service_tier as tier_of

Json = dict[str, object]
UNFINISHED = frozenset({"queued", "in_progress"})
FAILED = frozenset({"failed", "cancelled"})


class Answer(msgspec.Struct, gc=False):
    """The response object, whole or inside a stream's event."""

    id: str | None = None
    object: str | None = None
    model: str | None = None
    status: str | None = None
    created_at: float | None = None
    output: list[msgspec.Raw] | None = None
    usage: UsageShape | None = None
    incomplete_details: IncompleteDetails | None = None
    error: msgspec.Raw = msgspec.Raw()
    service_tier: str | None = None


_decode = msgspec.json.Decoder(Answer).decode
_encode = msgspec.json.Encoder().encode


def decode_answer(body: bytes) -> ChatAnswer | Fault:
    """A good status with an error inside, or with an answer that is not finished, is a fault."""
    try:
        answer = _decode(body)
        if answer.status in FAILED or bytes(answer.error) not in {b"", b"null"}:
            return fault_inside(body)
        if answer.output is None:
            return fault_inside(body) if b'"message"' in body else unread_answer(ValueError("it has no output"))
        if answer.status in UNFINISHED:
            return Fault(FaultKind.upstream_server, f"The provider's answer is not finished; its status is {answer.status}.")
        parts = Parts()
        for raw in answer.output:
            parts.add_item(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return unread_answer(error)
    made = tuple(parts.close())
    called = any(isinstance(part, ToolCall) for part in made)
    return ChatAnswer(
        answer.id or "",
        answer.model or "",
        made,
        finish_of(answer.status or "", reason_of(answer), called),
        None if answer.usage is None else usage_classes(answer.usage),
        created_s=int(answer.created_at or 0),
        logprobs=tuple(parts.logprobs),
        service_tier=answer.service_tier,
    )


def reason_of(answer: Answer) -> str:
    return (answer.incomplete_details and answer.incomplete_details.reason) or ""


def encode_answer(answer: ChatAnswer, model: str, created_s: int, asked: bytes = b"") -> bytes:
    refused = any(isinstance(part, Refusal) for part in answer.parts)
    status, reason = status_of(answer.finish, refused)
    items = items_of(answer.parts, id_core(answer.id), answer.logprobs)
    if items and status == "incomplete" and isinstance(last := items[-1], dict) and "status" in last:
        last["status"] = status
    made = response_object(response_id(answer.id), model, answer.created_s or created_s, asked)
    return _encode(made | ending(status, reason, items, answer.usage, answer.service_tier))


def response_object(given_id: str, model: str, created_s: int, asked: bytes) -> Json:
    """The members every response object has; `asked` is the request some of them repeat."""
    return {
        "id": given_id,
        "object": "response",
        "created_at": created_s,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": None,
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
    } | repeated(asked)


def ending(status: str, reason: str | None, items: list[Item], usage: Usage | None, service_tier: str | None) -> Json:
    """The members that the end of an answer decides."""
    return {
        "status": status,
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": items,
        "usage": None if usage is None else usage_shape(usage),
        "service_tier": tier_of(service_tier),
    }
