"""A client's messages request, from bytes to nouns."""

import msgspec

from setpoint.domain.chat import (
    CacheMark,
    ChatRequest,
    Document,
    Foreign,
    Image,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    Sampling,
    Speaker,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import bad_body, extra_members, wrong

_NO_RAW = msgspec.Raw()


class _Cache(msgspec.Struct, gc=False):
    ttl: str | None = None


class _Source(msgspec.Struct, gc=False):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None


class _Block(msgspec.Struct, gc=False):
    """Every kind of block; `source`, `content` and `input` stay raw because their shape hangs on the kind."""

    type: str
    text: str | None = None
    source: msgspec.Raw = _NO_RAW
    title: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _NO_RAW
    tool_use_id: str | None = None
    content: msgspec.Raw = _NO_RAW
    is_error: bool | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    cache_control: _Cache | None = None


class _Message(msgspec.Struct, gc=False):
    role: str
    content: str | list[_Block]


class _Tool(msgspec.Struct, gc=False):
    name: str
    type: str | None = None
    description: str | None = None
    input_schema: msgspec.Raw = _NO_RAW
    strict: bool | None = None
    cache_control: _Cache | None = None


class _Choice(msgspec.Struct, gc=False):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Thinking(msgspec.Struct, gc=False):
    type: str
    budget_tokens: int | None = None


class _Format(msgspec.Struct, gc=False):
    type: str
    schema: msgspec.Raw = _NO_RAW


class _OutputConfig(msgspec.Struct, gc=False):
    effort: str | None = None
    format: _Format | None = None


class _Metadata(msgspec.Struct, gc=False):
    user_id: str | None = None


class _Request(msgspec.Struct, gc=False):
    model: str
    messages: list[_Message]
    max_tokens: int
    system: str | list[_Block] | None = None
    tools: list[_Tool] | None = None
    tool_choice: _Choice | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None
    metadata: _Metadata | None = None
    service_tier: str | None = None
    stream: bool | None = None


_KNOWN = frozenset(_Request.__struct_fields__)
_decode = msgspec.json.Decoder(_Request).decode
_source = msgspec.json.Decoder(_Source).decode
_content = msgspec.json.Decoder(str | list[_Block]).decode

_CHOICES = {"auto": ToolChoice("auto"), "any": ToolChoice("required"), "none": ToolChoice("none")}


class _Unreadable(Exception):
    """Carries the fault from a block up to `decode_request`; never leaves this module."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def decode_request(body: bytes) -> ChatRequest | Fault:
    try:
        asked = _decode(body)
        extras = extra_members(body, _KNOWN)
        if not asked.messages:
            return wrong("messages", "at least one message is needed.")
        return ChatRequest(
            model=asked.model,
            messages=_turns(asked.messages),
            system=_system(asked.system),
            tools=tuple(map(_tool, asked.tools or ())),
            tool_choice=_tool_choice(asked.tool_choice),
            parallel_tool_calls=_parallel(asked.tool_choice),
            sampling=Sampling(asked.temperature, asked.top_p, asked.top_k),
            max_tokens=asked.max_tokens,
            stop=tuple(asked.stop_sequences or ()),
            response_format=_response_format(asked),
            reasoning=_reasoning(asked),
            user=asked.metadata.user_id if asked.metadata else None,
            service_tier=asked.service_tier,
            stream=bool(asked.stream),
            include_usage=bool(asked.stream),
            extras=extras,
        )
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return bad_body(error)
    except _Unreadable as unreadable:
        return unreadable.fault


def _system(system: str | list[_Block] | None) -> tuple[Text, ...]:
    if isinstance(system, str):
        return (Text(system),) if system else ()
    return tuple(Text(block.text or "", _mark(block.cache_control)) for block in system or ())


def _turns(messages: list[_Message]) -> tuple[Message, ...]:
    """Results of tools become messages of their own, ahead of what else the user says with them."""
    turns: list[Message] = []
    for no, message in enumerate(messages):
        if message.role not in {"user", "assistant", "system"}:
            raise _Unreadable(wrong(f"messages[{no}].role", f"expected user, assistant or system, got {message.role[:40]!r}."))
        role: Speaker = message.role  # type: ignore[assignment]  # checked above
        parts = _parts(message.content, f"messages[{no}].content")
        if role != "user":
            turns.append(Message(role, parts))
            continue
        results = tuple(part for part in parts if isinstance(part, ToolResult))
        if not results:
            turns.append(Message(role, parts))
            continue
        if turns and turns[-1].role == "tool":
            turns[-1] = Message("tool", turns[-1].parts + results)
        else:
            turns.append(Message("tool", results))
        if rest := tuple(part for part in parts if not isinstance(part, ToolResult)):
            turns.append(Message("user", rest))
    return tuple(turns)


def _parts(content: str | list[_Block], at: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple([_part(block, f"{at}[{no}]") for no, block in enumerate(content)])


def _part(block: _Block, at: str) -> Part:
    kind = block.type
    if kind == "text":
        return Text(block.text or "", _mark(block.cache_control))
    if kind == "tool_use":
        return ToolCall(
            _required(block.id, f"{at}.id"), _required(block.name, f"{at}.name"), _arguments(block.input), _mark(block.cache_control)
        )
    if kind == "tool_result":
        return _result(block, at)
    if kind == "thinking":
        return Thinking(block.thinking or "", block.signature or "")
    if kind == "redacted_thinking":
        return Thinking("", redacted=block.data or "")
    if kind == "image":
        return _image(_source(block.source), block, at)
    if kind == "document":
        return _document(_source(block.source), block)
    return Foreign(kind[:64])


def _required(value: str | None, at: str) -> str:
    if value is None:
        raise _Unreadable(wrong(at, "is missing; it is required."))
    return value


def _arguments(raw: msgspec.Raw) -> str:
    return bytes(raw).decode("utf-8", "replace") or "{}"


def _result(block: _Block, at: str) -> ToolResult:
    raw = bytes(block.content)
    content = "" if raw in {b"", b"null"} else _content(raw)
    parts = _parts(content, f"{at}.content") if content else ()
    kept = tuple(part if isinstance(part, Text | Image | Document | Foreign) else Foreign("content") for part in parts)
    return ToolResult(_required(block.tool_use_id, f"{at}.tool_use_id"), kept, bool(block.is_error), _mark(block.cache_control))


def _image(source: _Source, block: _Block, at: str) -> Image:
    if source.type not in {"base64", "url", "file"}:
        raise _Unreadable(wrong(f"{at}.source.type", "expected base64, url or file."))
    media_type = source.media_type if source.data is not None else None
    return Image(source.url, source.data, media_type, source.file_id, cache=_mark(block.cache_control))


def _document(source: _Source, block: _Block) -> Part:
    cache = _mark(block.cache_control)
    if source.type == "text":
        return Document(block.title, text=source.data, cache=cache)
    if source.type == "content":
        return Foreign("document of blocks")
    media_type = source.media_type if source.data is not None else None
    return Document(block.title, source.data, media_type, url=source.url, file_id=source.file_id, cache=cache)


def _tool(tool: _Tool) -> Tool:
    if tool.type not in {None, "custom"}:
        return Tool(tool.name, foreign=str(tool.type)[:64])
    schema = bytes(tool.input_schema)
    return Tool(tool.name, tool.description, None if schema in {b"", b"null"} else schema, tool.strict, _mark(tool.cache_control))


def _tool_choice(choice: _Choice | None) -> ToolChoice | None:
    if choice is None:
        return None
    if choice.type == "tool":
        return ToolChoice("named", _required(choice.name, "tool_choice.name"))
    if choice.type not in _CHOICES:
        raise _Unreadable(wrong("tool_choice.type", f"expected auto, any, tool or none, got {choice.type[:40]!r}."))
    return _CHOICES[choice.type]


def _parallel(choice: _Choice | None) -> bool | None:
    return None if choice is None or choice.disable_parallel_tool_use is None else not choice.disable_parallel_tool_use


def _response_format(asked: _Request) -> ResponseFormat | None:
    given = (asked.output_config.format if asked.output_config else None) or asked.output_format
    return None if given is None else ResponseFormat("json_schema", bytes(given.schema) or b"{}")


def _reasoning(asked: _Request) -> Reasoning | None:
    effort = asked.output_config.effort if asked.output_config else None
    thinking = asked.thinking
    if thinking is None:
        return None if effort is None else Reasoning("adaptive", effort)
    if thinking.type == "disabled":
        return Reasoning("disabled")
    return Reasoning("enabled" if thinking.type == "enabled" else "adaptive", effort, thinking.budget_tokens)


def _mark(cache: _Cache | None) -> CacheMark | None:
    return None if cache is None else CacheMark(cache.ttl)
