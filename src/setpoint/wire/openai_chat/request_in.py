"""A client's chat request, from bytes to nouns."""

import msgspec

from setpoint.domain.chat import (
    Audio,
    CacheMark,
    ChatRequest,
    Document,
    Foreign,
    Image,
    Message,
    Part,
    Reasoning,
    Refusal,
    ResponseFormat,
    Sampling,
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


class _ImageUrl(msgspec.Struct, gc=False):
    url: str
    detail: str | None = None


class _File(msgspec.Struct, gc=False):
    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None


class _Audio(msgspec.Struct, gc=False):
    data: str
    format: str = "wav"


class _Part(msgspec.Struct, gc=False):
    type: str
    text: str | None = None
    image_url: _ImageUrl | str | None = None
    file: _File | None = None
    input_audio: _Audio | None = None
    refusal: str | None = None
    document_url: str | None = None
    cache_control: _Cache | None = None


class _Function(msgspec.Struct, gc=False):
    name: str
    arguments: str | None = None


class _Call(msgspec.Struct, gc=False):
    id: str | None = None
    function: _Function | None = None
    type: str = "function"


class _ThinkingBlock(msgspec.Struct, gc=False):
    thinking: str = ""
    signature: str | None = None
    data: str | None = None


class _Message(msgspec.Struct, gc=False):
    role: str
    content: str | list[_Part] | None = None
    name: str | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    function_call: _Function | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    thinking_blocks: list[_ThinkingBlock] | None = None
    cache_control: _Cache | None = None


class _Definition(msgspec.Struct, gc=False):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = _NO_RAW
    strict: bool | None = None


class _Tool(msgspec.Struct, gc=False):
    type: str = "function"
    function: _Definition | None = None
    cache_control: _Cache | None = None


class _Named(msgspec.Struct, gc=False):
    name: str


class _Choice(msgspec.Struct, gc=False):
    type: str = "function"
    function: _Named | None = None


class _Schema(msgspec.Struct, gc=False):
    name: str | None = None
    description: str | None = None
    schema: msgspec.Raw = _NO_RAW
    strict: bool | None = None


class _Format(msgspec.Struct, gc=False):
    type: str
    json_schema: _Schema | None = None


class _Reasoning(msgspec.Struct, gc=False):
    effort: str | None = None
    max_tokens: int | None = None
    enabled: bool | None = None


class _StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None


class _Request(msgspec.Struct, gc=False):
    model: str
    messages: list[_Message]
    tools: list[_Tool] | None = None
    tool_choice: str | _Choice | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    response_format: _Format | None = None
    reasoning_effort: str | None = None
    reasoning: _Reasoning | None = None
    user: str | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    service_tier: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    functions: list[_Definition] | None = None
    function_call: str | _Named | None = None


_KNOWN = frozenset(_Request.__struct_fields__)
_decode = msgspec.json.Decoder(_Request).decode


class _Unreadable(Exception):
    """Carries the fault from a message up to `decode_request`; never leaves this module."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def decode_request(body: bytes) -> ChatRequest | Fault:
    try:
        asked = _decode(body)
        extras = extra_members(body, _KNOWN)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return bad_body(error)
    if not asked.messages:
        return wrong("messages", "at least one message is needed.")
    try:
        system, messages = _conversation(asked.messages)
        return ChatRequest(
            model=asked.model,
            messages=messages,
            system=system,
            tools=_tools(asked),
            tool_choice=_tool_choice(asked),
            parallel_tool_calls=asked.parallel_tool_calls,
            sampling=Sampling(asked.temperature, asked.top_p, asked.top_k, asked.frequency_penalty, asked.presence_penalty, asked.seed),
            max_tokens=asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens,
            stop=_stop(asked.stop),
            response_format=_response_format(asked.response_format),
            reasoning=_reasoning(asked),
            user=asked.user,
            n=1 if asked.n is None else asked.n,
            logprobs=bool(asked.logprobs),
            top_logprobs=asked.top_logprobs,
            service_tier=asked.service_tier,
            stream=bool(asked.stream),
            include_usage=bool(asked.stream_options and asked.stream_options.include_usage),
            extras=extras,
        )
    except _Unreadable as unreadable:
        return unreadable.fault


def _conversation(messages: list[_Message]) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    """Leading instructions, then turns; results of tools in a row become one message."""
    system: list[Text] = []
    turns: list[Message] = []
    for no, message in enumerate(messages):
        role = message.role
        if role == "user":
            turns.append(Message("user", _parts(message, no), message.name))
        elif role == "assistant":
            turns.append(Message("assistant", _assistant_parts(message, no), message.name))
        elif role in {"tool", "function"}:
            result = _result(message, no)
            if turns and turns[-1].role == "tool":
                turns[-1] = Message("tool", (*turns[-1].parts, result))
            else:
                turns.append(Message("tool", (result,)))
        elif role in {"system", "developer"}:
            texts = _texts(message, no)
            if turns:
                turns.append(Message("system", texts, message.name))
            else:
                system.extend(texts)
        else:
            raise _Unreadable(wrong(f"messages[{no}].role", f"expected system, developer, user, assistant or tool, got {role[:40]!r}."))
    return tuple(system), tuple(turns)


def _parts(message: _Message, no: int) -> tuple[Part, ...]:
    content = message.content
    if isinstance(content, str):
        return (Text(content, _mark(message.cache_control)),)
    return tuple(_part(part, f"messages[{no}].content[{at}]") for at, part in enumerate(content or ()))


def _texts(message: _Message, no: int) -> tuple[Text, ...]:
    parts = _parts(message, no)
    texts = tuple(part for part in parts if isinstance(part, Text))
    if len(texts) != len(parts):
        raise _Unreadable(wrong(f"messages[{no}].content", "instructions can be text only."))
    return texts


def _part(part: _Part, at: str) -> Part:
    kind = part.type
    if kind == "text":
        return Text(part.text or "", _mark(part.cache_control))
    if kind == "image_url" and part.image_url is not None:
        return _image(part.image_url, part.cache_control)
    if kind == "file" and part.file is not None:
        return _document(part.file, part.cache_control, at)
    if kind == "input_audio" and part.input_audio is not None:
        return Audio(part.input_audio.data, part.input_audio.format)
    if kind == "refusal":
        return Refusal(part.refusal or "")
    if kind == "document_url" and part.document_url is not None:
        return _document_by_url(part.document_url, part.cache_control)
    if kind in {"image_url", "file", "input_audio"}:
        raise _Unreadable(wrong(f"{at}.{kind}", "is missing."))
    return Foreign(kind[:64])


def _image(given: _ImageUrl | str, cache: _Cache | None) -> Image:
    url, detail = (given, None) if isinstance(given, str) else (given.url, given.detail)
    media_type, data = _data_url(url)
    if data is None:
        return Image(url=url, detail=detail, cache=_mark(cache))
    return Image(data=data, media_type=media_type, detail=detail, cache=_mark(cache))


def _document(file: _File, cache: _Cache | None, at: str) -> Document:
    if file.file_data is None:
        if file.file_id is None:
            raise _Unreadable(wrong(f"{at}.file", "needs file_data or file_id."))
        return Document(file.filename, file_id=file.file_id, cache=_mark(cache))
    media_type, data = _data_url(file.file_data)
    if data is None:
        return Document(file.filename, file.file_data, "application/pdf", cache=_mark(cache))
    return Document(file.filename, data, media_type, cache=_mark(cache))


def _document_by_url(url: str, cache: _Cache | None) -> Document:
    """Mistral's way to send a document."""
    media_type, data = _data_url(url)
    if data is None:
        return Document(url=url, cache=_mark(cache))
    return Document(data=data, media_type=media_type, cache=_mark(cache))


def _data_url(url: str) -> tuple[str | None, str | None]:
    """Media type and base64 text of a `data:` URL (RFC 2397); (None, None) for every other URL."""
    if not url.startswith("data:"):
        return None, None
    head, comma, data = url[5:].partition(",")
    if not comma or not head.endswith(";base64"):
        return None, None
    return head[:-7].partition(";")[0] or "text/plain", data


def _assistant_parts(message: _Message, no: int) -> tuple[Part, ...]:
    parts: list[Part] = _thinking(message)
    if message.content:
        parts.extend(_parts(message, no))
    if message.refusal:
        parts.append(Refusal(message.refusal))
    for at, call in enumerate(message.tool_calls or ()):
        if call.function is None:
            raise _Unreadable(wrong(f"messages[{no}].tool_calls[{at}].function", "is missing; only function calls are known."))
        parts.append(ToolCall(call.id or f"call_{no}_{at}", call.function.name, call.function.arguments or ""))
    if message.function_call is not None:
        parts.append(ToolCall(_legacy_id(message.function_call.name), message.function_call.name, message.function_call.arguments or ""))
    return tuple(parts)


def _thinking(message: _Message) -> list[Part]:
    if message.thinking_blocks:
        return [Thinking(block.thinking, block.signature or "", block.data or "") for block in message.thinking_blocks]
    text = message.reasoning_content or message.reasoning
    return [Thinking(text)] if text else []


def _result(message: _Message, no: int) -> ToolResult:
    if message.role == "function":
        return ToolResult(_legacy_id(message.name or ""), _texts(message, no))
    if message.tool_call_id is None:
        raise _Unreadable(wrong(f"messages[{no}].tool_call_id", "is missing; a tool message answers one call."))
    parts = _parts(message, no) if message.content else ()
    kept = tuple(part for part in parts if isinstance(part, Text | Image | Document))
    return ToolResult(message.tool_call_id, kept, cache=_mark(message.cache_control) if isinstance(message.content, list) else None)


def _legacy_id(name: str) -> str:
    """Functions of 2023 had no call ids; a call and its result share the name."""
    return f"call_{name}"


def _tools(asked: _Request) -> tuple[Tool, ...]:
    tools = [_tool(tool) for tool in asked.tools or ()]
    tools += [_tool(_Tool("function", definition)) for definition in asked.functions or ()]
    return tuple(tools)


def _tool(tool: _Tool) -> Tool:
    made = tool.function
    if made is None:
        return Tool("", foreign=tool.type[:64])
    return Tool(made.name, made.description, _raw(made.parameters), made.strict, _mark(tool.cache_control))


def _raw(raw: msgspec.Raw) -> bytes | None:
    text = bytes(raw)
    return None if text in {b"", b"null"} else text


def _tool_choice(asked: _Request) -> ToolChoice | None:
    choice = asked.tool_choice if asked.tool_choice is not None else asked.function_call
    if isinstance(choice, str):
        if choice == "auto":
            return ToolChoice("auto")
        if choice == "none":
            return ToolChoice("none")
        if choice in {"required", "any"}:
            return ToolChoice("required")
        raise _Unreadable(wrong("tool_choice", f"expected auto, none, required or a function, got {choice[:40]!r}."))
    if isinstance(choice, _Choice):
        if choice.function is None:
            raise _Unreadable(wrong("tool_choice", "only the choice of one function is known."))
        return ToolChoice("named", choice.function.name)
    return None if choice is None else ToolChoice("named", choice.name)


def _stop(stop: str | list[str] | None) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop or ())


def _response_format(given: _Format | None) -> ResponseFormat | None:
    if given is None or given.type == "text":
        return None
    if given.type == "json_object":
        return ResponseFormat("json_object")
    schema = given.json_schema
    if given.type != "json_schema" or schema is None:
        raise _Unreadable(wrong("response_format", "expected type text, json_object, or json_schema with a json_schema."))
    return ResponseFormat("json_schema", _raw(schema.schema) or b"{}", schema.name, schema.description, bool(schema.strict))


def _reasoning(asked: _Request) -> Reasoning | None:
    """OpenAI's `reasoning_effort`, or OpenRouter's `reasoning` object."""
    if asked.reasoning_effort is not None:
        return Reasoning("disabled") if asked.reasoning_effort == "none" else Reasoning("enabled", asked.reasoning_effort)
    given = asked.reasoning
    if given is None:
        return None
    if given.enabled is False or given.effort == "none":
        return Reasoning("disabled")
    return Reasoning("enabled", given.effort, given.max_tokens)


def _mark(cache: _Cache | None) -> CacheMark | None:
    return None if cache is None else CacheMark(cache.ttl)
