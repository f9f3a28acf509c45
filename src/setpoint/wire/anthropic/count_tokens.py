"""Counting the tokens of a prompt (https://docs.anthropic.com/en/api/messages-count-tokens).

The request is that of a message without what is about the answer: no `max_tokens`, no sampling, no stream. The answer is one number.
"""

import msgspec

from setpoint.domain.chat import ChatRequest
from setpoint.domain.faults import Fault
from setpoint.wire.anthropic.faults import classify_anthropic_fault
from setpoint.wire.anthropic.request_in import decode_prompt
from setpoint.wire.anthropic.request_out import prompt_members
from setpoint.wire.bodies import unread_answer
from setpoint.wire.dialect import Encoded


class _Count(msgspec.Struct, gc=False):
    type: str = ""
    input_tokens: int | None = None


_count = msgspec.json.Decoder(_Count).decode
_encode = msgspec.json.Encoder().encode

COUNTED = frozenset(
    {
        "cache_control",
        "context_management",
        "mcp_servers",
        "messages",
        "model",
        "output_config",
        "speed",
        "system",
        "thinking",
        "tool_choice",
        "tools",
        "user_profile_id",
        "workspace_id",
    }
)
"""The members that the endpoint takes; it answers 400 to others."""


def decode_count_request(body: bytes) -> ChatRequest | Fault:
    """The prompt that a client wants counted; `max_tokens` is None."""
    return decode_prompt(body)


def encode_count_request(request: ChatRequest, model: str) -> Encoded | Fault:
    """The question for Anthropic. Losses name what the count leaves out of the prompt, not what is about the answer."""
    members = prompt_members(request, model)
    if isinstance(members, Fault):
        return members
    body, losses = members
    return Encoded(_encode({name: value for name, value in body.items() if name in COUNTED}), losses)


def read_count(body: bytes) -> int | Fault:
    """The tokens of a good answer."""
    try:
        answer = _count(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return unread_answer(error)
    if answer.type == "error":
        return classify_anthropic_fault(0, {}, body, 0.0)
    if answer.input_tokens is None or answer.input_tokens < 0:
        return unread_answer(ValueError("it has no input_tokens"))
    return answer.input_tokens


def encode_count(total: int) -> bytes:
    return _encode({"input_tokens": total})
