"""Parts of an answer, to output items. Texts and refusals in a row share one message."""

from collections.abc import Iterable

import msgspec

from setpoint.domain.chat import Foreign, Part, Refusal, Text, Thinking, TokenLogprob, ToolCall
from setpoint.wire.openai_responses.citations import annotation_of
from setpoint.wire.openai_responses.custom_tools import input_of
from setpoint.wire.openai_responses.logprobs import logprobs_of
from setpoint.wire.openai_responses.thoughts import OF_LAST, OF_NEXT, REDACTED, own_item
from setpoint.wire.openai_responses.words import NAME, item_id

Json = dict[str, object]
Item = Json | msgspec.Raw


def items_of(parts: Iterable[Part], core: str, logprobs: tuple[TokenLogprob, ...] = ()) -> list[Item]:
    """`core` makes the ids; `logprobs` go to the first text."""
    items: list[Item] = []
    message: list[Json] | None = None
    for part in parts:
        if isinstance(part, Text | Refusal):
            if message is None:
                message = []
                items.append(message_item(item_id("msg", core, len(items)), message))
            message.append(output_part(part, logprobs))
            if isinstance(part, Text):
                logprobs = ()
                if part.signature:
                    items.append(proof_item(item_id("rs", core, len(items)), OF_LAST + part.signature))
                    message = None
            continue
        made = _items(part, core, len(items))
        if made:
            message = None
            items += made
    return items


def _items(part: Part, core: str, no: int) -> list[Item]:
    if isinstance(part, ToolCall):
        signed: list[Item] = [proof_item(item_id("rs", core, no), OF_NEXT + part.signature)] if part.signature else []
        return [*signed, call_item(part, core, no + len(signed))]
    if isinstance(part, Thinking):
        return [reasoning_item(part, item_id("rs", core, no))]
    if isinstance(part, Foreign) and part.dialect == NAME and part.raw:
        return [msgspec.Raw(part.raw)]
    return []


def message_item(given_id: str, content: list[Json], status: str = "completed") -> Json:
    return {"id": given_id, "type": "message", "status": status, "role": "assistant", "content": content}


def output_part(part: Text | Refusal, logprobs: tuple[TokenLogprob, ...] = ()) -> Json:
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    annotations = [annotation_of(citation, len(part.text)) for citation in part.citations]
    return {"type": "output_text", "text": part.text, "annotations": annotations, "logprobs": logprobs_of(logprobs)}


def call_item(call: ToolCall, core: str, no: int, status: str = "completed") -> Json:
    custom = input_of(call.arguments)
    if custom is not None:
        return custom_call_item(item_id("ctc", core, no), call.id, call.name, custom, status)
    return function_call_item(item_id("fc", core, no), call.id, call.name, call.arguments or "{}", status)


def function_call_item(given_id: str, call_id: str, name: str, arguments: str, status: str) -> Json:
    return {"id": given_id, "type": "function_call", "status": status, "arguments": arguments, "call_id": call_id, "name": name}


def custom_call_item(given_id: str, call_id: str, name: str, text: str, status: str) -> Json:
    return {"id": given_id, "type": "custom_tool_call", "status": status, "call_id": call_id, "name": name, "input": text}


def reasoning_item(part: Thinking, given_id: str) -> Json:
    """A thought with its proof: of this dialect under the id it counts with, of another as it is."""
    item: Json = {"id": given_id, "type": "reasoning", "summary": [summary_part(part.text)] if part.text else []}
    if part.redacted:
        item["encrypted_content"] = REDACTED + part.redacted
    elif part.signature:
        own_id, proof = own_item(part.signature)
        item["id"] = own_id or given_id
        item["encrypted_content"] = proof or part.signature
    return item


def proof_item(given_id: str, proof: str) -> Json:
    return {"id": given_id, "type": "reasoning", "summary": [], "encrypted_content": proof}


def summary_part(text: str) -> Json:
    return {"type": "summary_text", "text": text}
