"""A unary chat answer, from bytes to nouns and back.

`tool_plan` is what the model thinks before it calls tools ("a chain-of-thought style reflection and plan", says the reference), so it is
thinking. Whoever gets thinking in this dialect gets it as a block of content, as in streams, where nobody knows yet what will follow.
"""

import msgspec

from setpoint.domain.chat import ChatAnswer, Citation, Foreign, Part, Refusal, Text, Thinking, ToolCall
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import unread_answer
from setpoint.wire.carried import carried
from setpoint.wire.cohere.citations import NAME, Json, read_citation, write_citations
from setpoint.wire.cohere.faults import classify_cohere_fault, failed_generation
from setpoint.wire.cohere.logprobs import LogprobItem, read_logprobs, write_logprobs
from setpoint.wire.cohere.usage import UsageShape, shape_of, usage_of
from setpoint.wire.cohere.words import WRITTEN, ended_badly, finish_of


class Content(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class Call(msgspec.Struct, gc=False):
    id: str | None = None
    function: Function | None = None


class Said(msgspec.Struct, gc=False):
    """A message of an assistant, in an answer or in the history of a request."""

    content: str | list[msgspec.Raw] | None = None
    tool_plan: str | None = None
    tool_calls: list[Call] | None = None
    citations: list[msgspec.Raw] | None = None


class _Answer(msgspec.Struct, gc=False):
    id: str | None = None
    message: Said | str | None = None
    finish_reason: str | None = None
    usage: UsageShape | None = None
    logprobs: list[LogprobItem] | None = None
    error: str | None = None


_decode = msgspec.json.Decoder(_Answer).decode
decode_content = msgspec.json.Decoder(Content).decode
_encode = msgspec.json.Encoder().encode


def decode_answer(body: bytes) -> ChatAnswer | Fault:
    """A good status with an error inside is a fault."""
    try:
        answer = _decode(body)
        if not isinstance(answer.message, Said):
            if isinstance(answer.message, str) or answer.error:
                return classify_cohere_fault(0, {}, body, 0.0)
            return unread_answer(ValueError("it has no message"))
        parts = parts_of(answer.message, answer.id or "")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return unread_answer(error)
    usage = usage_of(answer.usage)
    if ended_badly(answer.finish_reason, answer.error, bool(parts) or usage is not None):
        return failed_generation(answer.finish_reason, answer.error)
    called = any(isinstance(part, ToolCall) for part in parts)
    return ChatAnswer(
        answer.id or "",
        "",
        parts,
        finish_of(answer.finish_reason, called),
        usage,
        logprobs=read_logprobs(answer.logprobs),
    )


def parts_of(said: Said, answer_id: str) -> tuple[Part, ...]:
    """Content, then the plan, then the calls. Raises msgspec.DecodeError for content that is no object."""
    parts: list[Part] = []
    cited = _citations_by_block(said)
    if isinstance(said.content, str):
        parts += [Text(said.content, citations=tuple(cited.get(0, ())))] if said.content else []
    else:
        for no, raw in enumerate(said.content or ()):
            content = decode_content(raw)
            if content.text is not None:
                citations = tuple(cited.get(no, ()))
                parts += [Text(content.text, citations=citations)] if content.text or citations else []
            elif content.thinking is not None:
                parts.append(Thinking(content.thinking))
            else:
                parts.append(Foreign((content.type or "content")[:64], NAME, carried(raw)))
    if said.tool_plan:
        parts.append(Thinking(said.tool_plan))
    for no, call in enumerate(said.tool_calls or ()):
        function = call.function or Function()
        parts.append(ToolCall(call.id or made_up_id(answer_id, no), function.name or "", arguments_of(function.arguments)))
    return tuple(parts)


def _citations_by_block(said: Said) -> dict[int, list[Citation]]:
    """Citations without a block are of the first text."""
    if not said.citations:
        return {}
    first = 0
    for no, raw in enumerate(said.content if isinstance(said.content, list) else ()):
        if decode_content(raw).text is not None:
            first = no
            break
    found: dict[int, list[Citation]] = {}
    for raw in said.citations:
        read = read_citation(raw)
        found.setdefault(first if read.content_index is None else read.content_index, []).extend(read.citations)
    return found


def arguments_of(given: str | None) -> str:
    """A call without arguments says "null", or nothing."""
    return given if given and given != "null" else "{}"


def made_up_id(answer_id: str, no: int) -> str:
    """For servers that give calls no id; it must not come again in the next turn."""
    return f"call_{answer_id}_{no}"


def encode_answer(answer: ChatAnswer) -> bytes:
    body: Json = {
        "id": answer.id,
        "message": {"role": "assistant", **message_of(answer.parts)},
        "finish_reason": WRITTEN[answer.finish],
    }
    if answer.usage is not None:
        body["usage"] = shape_of(answer.usage)
    if answer.logprobs:
        body["logprobs"] = write_logprobs(answer.logprobs)
    return _encode(body)


def message_of(parts: tuple[Part, ...]) -> Json:
    """The members of a message. Texts in a row become one: clients look for the text of an answer in one block."""
    content: list[Json | msgspec.Raw] = []
    texts: list[tuple[int, tuple[Citation, ...], int]] = []
    calls: list[Json] = []
    blocks: dict[int, str] = {}
    for part in parts:
        if isinstance(part, Text | Refusal):
            if not part.text and not (isinstance(part, Text) and part.citations):
                continue
            index = len(content) - 1
            if index not in blocks:
                index += 1
                content.append({"type": "text", "text": ""})
                blocks[index] = ""
            if isinstance(part, Text) and part.citations:
                texts.append((index, part.citations, len(blocks[index])))
            blocks[index] += part.text
            content[index] = {"type": "text", "text": blocks[index]}
        elif isinstance(part, ToolCall):
            function = {"name": part.name, "arguments": part.arguments or "{}"}
            calls.append({"id": part.id, "type": "function", "function": function})
        elif isinstance(part, Thinking) and part.text:
            content.append({"type": "thinking", "thinking": part.text})
        elif isinstance(part, Foreign) and part.dialect == NAME:
            content.append(msgspec.Raw(part.raw))
    message: Json = {"content": content} if content or not calls else {}
    if calls:
        message["tool_calls"] = calls
    if texts:
        message["citations"] = [
            shown for index, citations, before in texts for shown in write_citations(citations, blocks[index], before, index)
        ]
    return message
