"""A client's Converse request, from bytes to nouns.

The model and whether the answer is streamed stand in the path: both are left empty here. What of a request has no noun (a guardrail, a
prompt's variables) is kept raw in `extras` under its own name.
"""

import msgspec
from msgspec.structs import replace

from setpoint.domain.chat import (
    CacheMark,
    ChatRequest,
    Document,
    Image,
    Message,
    Part,
    ResponseFormat,
    Sampling,
    Speaker,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from setpoint.domain.faults import Fault
from setpoint.wire.bedrock_converse import more_fields
from setpoint.wire.bedrock_converse.blocks import CachePoint, mark_of, part_of, read_block
from setpoint.wire.bedrock_converse.words import DIALECT
from setpoint.wire.bodies import bad_body, extra_members, utf8, wrong

_NO_RAW = msgspec.Raw()


class _Message(msgspec.Struct, gc=False):
    role: str
    content: list[msgspec.Raw] | None = None


class _GuardedText(msgspec.Struct, gc=False):
    text: str | None = None


class _Guarded(msgspec.Struct, gc=False):
    text: _GuardedText | None = None


class _System(msgspec.Struct, gc=False, rename="camel"):
    text: str | None = None
    guard_content: _Guarded | None = None
    cache_point: CachePoint | None = None


class _Inference(msgspec.Struct, gc=False, rename="camel"):
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] | None = None


class _Schema(msgspec.Struct, gc=False):
    json: msgspec.Raw = _NO_RAW


class _Spec(msgspec.Struct, gc=False, rename="camel"):
    name: str
    description: str | None = None
    input_schema: _Schema | None = None
    strict: bool | None = None


class _Named(msgspec.Struct, gc=False):
    name: str


class _Tool(msgspec.Struct, gc=False, rename="camel"):
    tool_spec: _Spec | None = None
    system_tool: _Named | None = None
    cache_point: CachePoint | None = None


class _Nothing(msgspec.Struct, gc=False):
    pass


class _Choice(msgspec.Struct, gc=False):
    auto: _Nothing | None = None
    any: _Nothing | None = None
    tool: _Named | None = None


class _Tools(msgspec.Struct, gc=False, rename="camel"):
    tools: list[msgspec.Raw] | None = None
    tool_choice: _Choice | None = None


class _JsonSchema(msgspec.Struct, gc=False):
    schema: str
    name: str | None = None
    description: str | None = None


class _Structure(msgspec.Struct, gc=False, rename="camel"):
    json_schema: _JsonSchema | None = None


class _Format(msgspec.Struct, gc=False):
    structure: _Structure | None = None


class _Output(msgspec.Struct, gc=False, rename="camel"):
    text_format: _Format | None = None
    effort: str | None = None


class _Tier(msgspec.Struct, gc=False):
    type: str | None = None


class _Request(msgspec.Struct, gc=False, rename="camel"):
    messages: list[_Message] | None = None
    model_id: str | None = None
    system: list[_System] | None = None
    inference_config: _Inference | None = None
    tool_config: _Tools | None = None
    output_config: _Output | None = None
    service_tier: _Tier | None = None
    request_metadata: dict[str, str] | None = None
    additional_model_request_fields: dict[str, msgspec.Raw] | None = None


_KNOWN = frozenset(_Request.__struct_encode_fields__)
_decode = msgspec.json.Decoder(_Request).decode
_tool = msgspec.json.Decoder(_Tool).decode
_is_json = msgspec.json.Decoder(msgspec.Raw).decode
_encode = msgspec.json.Encoder().encode

USER = "user_id"
"""The key of requestMetadata that holds a client's `user`."""

STOP_SEQUENCE_PATHS = ["/stop_sequence", "/delta/stop_sequence"]
"""Asks a Claude which sequence stopped it: the first path holds for answers, the second for streams. Added when a request is encoded."""


def decode_request(body: bytes) -> ChatRequest | Fault:
    try:
        asked = _decode(utf8(body))
        extras = extra_members(body, _KNOWN)
        unknown_role = next((no for no, one in enumerate(asked.messages or ()) if one.role not in {"user", "assistant", "system"}), None)
        if unknown_role is not None:
            return wrong(f"messages[{unknown_role}].role", "expected user, assistant or system.")
        notes: dict[str, None] = {}
        messages = _turns(asked.messages or [], notes)
        if not messages:
            return wrong("messages", "at least one message is needed.")
        system = _system(asked.system or [], notes)
        more = more_fields.read(asked.additional_model_request_fields or {})
        inference = asked.inference_config or _Inference()
        tools = asked.tool_config or _Tools()
        output = asked.output_config or _Output()
        metadata = dict(asked.request_metadata or {})
        user = metadata.pop(USER, None)
        response_format = _response_format(output)
        declared = _tools(tools.tools or [], notes)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return bad_body(error)
    paths = extras.get("additionalModelResponseFieldPaths")
    if paths is not None and msgspec.json.decode(paths) == STOP_SEQUENCE_PATHS:
        del extras["additionalModelResponseFieldPaths"]
    if metadata:
        extras["requestMetadata"] = _encode(metadata)
    if more.rest:
        extras[more_fields.MEMBER] = _encode(more.rest)
    extras.update(dict.fromkeys(notes, b"true"))
    return ChatRequest(
        model=asked.model_id or "",
        messages=messages,
        system=system,
        tools=declared,
        tool_choice=_tool_choice(tools.tool_choice),
        parallel_tool_calls=more.parallel_tool_calls,
        sampling=Sampling(inference.temperature, inference.top_p, more.top_k),
        max_tokens=inference.max_tokens,
        stop=tuple(inference.stop_sequences or ()),
        response_format=response_format,
        reasoning=more_fields.reasoning_of(more, output.effort),
        user=user,
        service_tier=asked.service_tier.type if asked.service_tier is not None else None,
        include_usage=True,
        extras=extras,
    )


def _system(given: list[_System], notes: dict[str, None]) -> tuple[Text, ...]:
    texts: list[Text] = []
    for one in given:
        if one.text is not None:
            texts.append(Text(one.text))
        elif one.guard_content is not None and one.guard_content.text is not None:
            notes["system.guardContent"] = None
            texts.append(Text(one.guard_content.text.text or ""))
        elif one.cache_point is not None and texts:
            texts[-1] = replace(texts[-1], cache=mark_of(one.cache_point))
    return tuple(texts)


def _turns(given: list[_Message], notes: dict[str, None]) -> tuple[Message, ...]:
    """Results of tools become messages of their own, ahead of what else the user says with them."""
    turns: list[Message] = []
    for message in given:
        role: Speaker = message.role  # type: ignore[assignment]  # checked by the caller
        parts: list[Part] = []
        for raw in message.content or ():
            block = read_block(raw)
            if block.cache_point is None:
                parts.append(part_of(block, bytes(raw), notes))
            elif not _mark_last(parts, mark_of(block.cache_point)) and not (not parts and _mark_turn(turns, mark_of(block.cache_point))):
                notes["messages.cachePoint"] = None
        results = tuple(part for part in parts if isinstance(part, ToolResult))
        if role != "user" or not results:
            turns.append(Message(role, tuple(parts)))
            continue
        if turns and turns[-1].role == "tool":
            turns[-1] = Message("tool", turns[-1].parts + results)
        else:
            turns.append(Message("tool", results))
        if rest := tuple(part for part in parts if not isinstance(part, ToolResult)):
            turns.append(Message("user", rest))
    return tuple(turns)


def _mark_last(parts: list[Part], mark: CacheMark) -> bool:
    """A cache point is a mark of the part before it."""
    last = parts[-1] if parts else None
    if not isinstance(last, Text | Image | Document | ToolCall | ToolResult):
        return False
    parts[-1] = replace(last, cache=mark)
    return True


def _mark_turn(turns: list[Message], mark: CacheMark) -> bool:
    """A cache point ahead of everything else marks the end of the turn before."""
    parts = list(turns[-1].parts) if turns else []
    if not _mark_last(parts, mark):
        return False
    turns[-1] = replace(turns[-1], parts=tuple(parts))
    return True


def _tools(given: list[msgspec.Raw], notes: dict[str, None]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for raw in given:
        one = _tool(raw)
        if one.tool_spec is not None:
            spec = one.tool_spec
            schema = bytes(spec.input_schema.json) if spec.input_schema is not None else b""
            tools.append(Tool(spec.name, spec.description, None if schema in {b"", b"null"} else schema, spec.strict))
        elif one.system_tool is not None:
            name = one.system_tool.name
            tools.append(Tool(name, foreign=name[:64], dialect=DIALECT, raw=bytes(raw)))
        elif one.cache_point is None:
            tools.append(Tool("unknown", foreign="unknown", dialect=DIALECT, raw=bytes(raw)))
        elif tools:
            tools[-1] = replace(tools[-1], cache=mark_of(one.cache_point))
        else:
            notes["toolConfig.cachePoint"] = None
    return tuple(tools)


def _tool_choice(choice: _Choice | None) -> ToolChoice | None:
    if choice is None:
        return None
    if choice.tool is not None:
        return ToolChoice("named", choice.tool.name)
    if choice.any is not None:
        return ToolChoice("required")
    return ToolChoice("auto") if choice.auto is not None else None


def _response_format(output: _Output) -> ResponseFormat | None:
    """The schema travels as text that is JSON."""
    structure = output.text_format.structure if output.text_format is not None else None
    given = structure.json_schema if structure is not None else None
    if given is None:
        return None
    schema = given.schema.encode("utf-8", "replace")
    _is_json(schema)
    return ResponseFormat("json_schema", schema, given.name, given.description)
