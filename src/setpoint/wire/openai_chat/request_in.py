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
from setpoint.wire.bodies import bad_body, extra_members, utf8, wrong
from setpoint.wire.carried import carried
from setpoint.wire.openai_chat import request_shapes as shapes
from setpoint.wire.openai_chat.citations import annotations_of
from setpoint.wire.openai_chat.data_urls import data_url
from setpoint.wire.openai_chat.shapes import Said, google_signature, has_something
from setpoint.wire.openai_chat.thinking import in_blocks, thoughts_of
from setpoint.wire.signatures import marked

_KNOWN = frozenset(shapes.Asked.__struct_fields__)
_encode = msgspec.json.Encoder().encode


class _Unreadable(Exception):
    """Carries the fault from a message up to `decode_request`; never leaves this module."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def decode_request(body: bytes) -> ChatRequest | Fault:
    try:
        asked = shapes.read_asked(utf8(body))
        extras = extra_members(body, _KNOWN)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return bad_body(error)
    if not asked.messages:
        return wrong("messages", "at least one message is needed.")
    if extras.get("modalities") == b'["text"]':
        del extras["modalities"]
    if asked.thinking is not None and has_something(asked.thinking.clear_thinking):
        extras["thinking.clear_thinking"] = bytes(asked.thinking.clear_thinking)
    try:
        system, messages = _Conversation(body).read(asked.messages)
        choice, tools = _tool_choice(asked), _tools(asked, body)
        return ChatRequest(
            model=asked.model,
            messages=messages,
            system=system,
            tools=_allowed(asked, tools),
            tool_choice=choice,
            parallel_tool_calls=asked.parallel_tool_calls,
            sampling=Sampling(
                asked.temperature,
                asked.top_p,
                asked.top_k,
                asked.frequency_penalty,
                asked.presence_penalty,
                asked.seed if asked.seed is not None else asked.random_seed,
            ),
            max_tokens=asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens,
            stop=_stop(asked.stop),
            response_format=_response_format(asked.response_format),
            reasoning=_reasoning(asked),
            user=asked.user,
            n=1 if asked.n is None else asked.n,
            logprobs=bool(asked.logprobs),
            top_logprobs=asked.top_logprobs,
            service_tier=asked.service_tier,
            verbosity=asked.verbosity,
            stream=bool(asked.stream),
            include_usage=bool(asked.stream_options and asked.stream_options.include_usage),
            extras=extras,
        )
    except _Unreadable as unreadable:
        return unreadable.fault


class _Conversation:
    """The messages of one request. The body is kept for parts that only this dialect can say, which are carried as they stand there."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, messages: list[shapes.AskedMessage]) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
        """Leading instructions, then turns; results of tools in a row become one message."""
        system: list[Text] = []
        turns: list[Message] = []
        for no, message in enumerate(messages):
            role = message.role
            if role == "user":
                turns.append(Message("user", self.parts(message, no), message.name))
            elif role == "assistant":
                turns.append(Message("assistant", self.assistant_parts(message, no), message.name))
            elif role in {"tool", "function"}:
                result = self.result(message, no)
                if turns and turns[-1].role == "tool":
                    turns[-1] = Message("tool", (*turns[-1].parts, result))
                else:
                    turns.append(Message("tool", (result,)))
            elif role in {"system", "developer"}:
                texts = self.texts(message, no)
                if turns:
                    turns.append(Message("system", texts, message.name))
                else:
                    system.extend(texts)
            else:
                raise _Unreadable(wrong(f"messages[{no}].role", f"expected system, developer, user, assistant or tool, got {role[:40]!r}."))
        return tuple(system), tuple(turns)

    def parts(self, message: shapes.AskedMessage, no: int) -> tuple[Part, ...]:
        content = message.content
        if isinstance(content, str):
            return (Text(content, _mark(message.cache_control)),)
        return tuple(self.part(part, no, at) for at, part in enumerate(content or ()))

    def texts(self, message: shapes.AskedMessage, no: int) -> tuple[Text, ...]:
        parts = self.parts(message, no)
        texts = tuple(part for part in parts if isinstance(part, Text))
        if len(texts) != len(parts):
            raise _Unreadable(wrong(f"messages[{no}].content", "instructions can be text only."))
        return texts

    def part(self, part: shapes.Part, no: int, at: int) -> Part:
        kind = part.type
        if kind == "text":
            return Text(part.text or "", _part_mark(part))
        made = self.medium(part, f"messages[{no}].content[{at}]")
        if made is not None:
            return made
        if kind == "refusal":
            return Refusal(part.refusal or "")
        if kind == "thinking" and part.thinking is not None:
            return Thinking(part.thinking if isinstance(part.thinking, str) else "".join(inner.text or "" for inner in part.thinking))
        return Foreign(kind[:64], "openai_chat", shapes.raw_part(self._body, no, at))

    def medium(self, part: shapes.Part, at: str) -> Part | None:
        kind = part.type
        if kind == "image_url" and part.image_url is not None:
            return _image(part.image_url, part)
        if kind == "file" and part.file is not None:
            return _document(part.file, part, at)
        if kind == "input_audio" and part.input_audio is not None:
            return Audio(part.input_audio.data, part.input_audio.format)
        if kind == "document_url" and part.document_url is not None:
            return _document_by_url(part.document_url, part)
        if kind == "file_url" and part.file_url is not None:
            return _document_by_url(part.file_url if isinstance(part.file_url, str) else part.file_url.url, part)
        if kind in {"image_url", "file", "input_audio"}:
            raise _Unreadable(wrong(f"{at}.{kind}", "is missing."))
        return None

    def assistant_parts(self, message: shapes.AskedMessage, no: int) -> tuple[Part, ...]:
        parts: list[Part] = list(_thoughts(message))
        if message.content:
            parts.extend(self.parts(message, no))
        if message.refusal:
            parts.append(Refusal(message.refusal))
        parts += [_call(call, no, at) for at, call in enumerate(message.tool_calls or ())]
        if message.function_call is not None:
            parts.append(
                ToolCall(_legacy_id(message.function_call.name), message.function_call.name, message.function_call.arguments or "")
            )
        if has_something(message.audio):
            parts.append(Foreign("audio", "openai_chat", carried(message.audio)))
        return tuple(_cited(_signed(parts, message), message))

    def result(self, message: shapes.AskedMessage, no: int) -> ToolResult:
        if message.role == "function":
            return ToolResult(_legacy_id(message.name or ""), self.texts(message, no))
        if message.tool_call_id is None:
            raise _Unreadable(wrong(f"messages[{no}].tool_call_id", "is missing; a tool message answers one call."))
        parts = self.parts(message, no) if message.content else ()
        kept = tuple(part if isinstance(part, Text | Image | Document | Foreign) else Foreign("content") for part in parts)
        return ToolResult(message.tool_call_id, kept, cache=_mark(message.cache_control) if isinstance(message.content, list) else None)


def _image(given: shapes.ImageUrl | str, part: shapes.Part) -> Image:
    url, detail = (given, None) if isinstance(given, str) else (given.url, given.detail)
    media_type, data = data_url(url)
    if data is None:
        return Image(url=url, detail=detail, cache=_part_mark(part))
    return Image(data=data, media_type=media_type, detail=detail, cache=_part_mark(part))


def _document(file: shapes.File, part: shapes.Part, at: str) -> Document:
    """OpenRouter takes an address where OpenAI takes data (https://openrouter.ai/docs/features/multimodal/pdfs)."""
    mark = _part_mark(part)
    given = file.file_data or file.file_url
    if given is None:
        if file.file_id is None:
            raise _Unreadable(wrong(f"{at}.file", "needs file_data or file_id."))
        return Document(file.filename, file_id=file.file_id, cache=mark)
    if given.startswith(("http://", "https://")):
        return Document(file.filename, url=given, cache=mark)
    media_type, data = data_url(given)
    if data is None:
        return Document(file.filename, given, "application/pdf", cache=mark)
    return Document(file.filename, data, media_type, cache=mark)


def _document_by_url(url: str, part: shapes.Part) -> Document:
    """Mistral's and Perplexity's way to send a document."""
    media_type, data = data_url(url)
    if data is None:
        return Document(part.file_name, url=url, cache=_part_mark(part))
    return Document(part.file_name, data=data, media_type=media_type, cache=_part_mark(part))


def _thoughts(message: shapes.AskedMessage) -> list[Thinking | Foreign]:
    said = Said(
        reasoning_content=message.reasoning_content,
        reasoning=message.reasoning,
        reasoning_details=message.reasoning_details,
        thinking_blocks=message.thinking_blocks,
    )
    return in_blocks(thoughts_of(said))


def _call(call: shapes.AskedCall, no: int, at: int) -> ToolCall:
    """The text of a custom tool travels inside an object, which is what a call has everywhere else."""
    call_id = call.id or f"call_{no}_{at}"
    if call.function is not None:
        signature = marked("gemini", google_signature(call.extra_content))
        return ToolCall(call_id, call.function.name, call.function.arguments or "", signature=signature)
    if call.custom is not None:
        return ToolCall(call_id, call.custom.name or "", _encode({"input": call.custom.input or ""}).decode())
    raise _Unreadable(wrong(f"messages[{no}].tool_calls[{at}].function", "is missing; only function and custom calls are known."))


def _signed(parts: list[Part], message: shapes.AskedMessage) -> list[Part]:
    """A proof beside the content belongs to its text, or to the first call when there is none."""
    signature = marked("gemini", google_signature(message.extra_content))
    if signature:
        for kind in (Text, ToolCall):
            for no, part in enumerate(parts):
                if isinstance(part, kind) and not part.signature:
                    parts[no] = msgspec.structs.replace(part, signature=signature)
                    return parts
    return parts


def _cited(parts: list[Part], message: shapes.AskedMessage) -> list[Part]:
    if isinstance(message.content, str) and has_something(message.annotations):
        citations, others = annotations_of(message.annotations, len(message.content))
        for no, part in enumerate(parts):
            if isinstance(part, Text) and citations:
                parts[no] = msgspec.structs.replace(part, citations=tuple(citations))
        parts += others
    return parts


def _legacy_id(name: str) -> str:
    """Functions of 2023 had no call ids; a call and its result share the name."""
    return f"call_{name}"


def _tools(asked: shapes.Asked, body: bytes) -> tuple[Tool, ...]:
    tools = [_tool(tool, no, body) for no, tool in enumerate(asked.tools or ())]
    tools += [_tool(shapes.AskedTool("function", definition), 0, body) for definition in asked.functions or ()]
    return tuple(tools)


def _tool(tool: shapes.AskedTool, no: int, body: bytes) -> Tool:
    made = tool.function
    if made is None:
        return Tool(_custom_name(tool), foreign=tool.type[:64], dialect="openai_chat", raw=shapes.raw_tool(body, no))
    return Tool(made.name, made.description, _raw(made.parameters), made.strict, _mark(tool.cache_control))


class _Custom(msgspec.Struct, gc=False):
    name: str = ""


_custom = msgspec.json.Decoder(_Custom).decode


def _custom_name(tool: shapes.AskedTool) -> str:
    try:
        return _custom(tool.custom).name if has_something(tool.custom) else ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _raw(raw: msgspec.Raw) -> bytes | None:
    text = bytes(raw)
    return None if text in {b"", b"null"} else text


def _allowed(asked: shapes.Asked, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    """`allowed_tools` is the same as declaring only those."""
    choice = asked.tool_choice
    if not isinstance(choice, shapes.Choice) or choice.allowed_tools is None:
        return tools
    names = {named.name for tool in choice.allowed_tools.tools if (named := tool.function or tool.custom) is not None}
    return tuple(tool for tool in tools if tool.name in names)


def _tool_choice(asked: shapes.Asked) -> ToolChoice | None:
    choice = asked.tool_choice if asked.tool_choice is not None else asked.function_call
    if isinstance(choice, shapes.Choice):
        if choice.allowed_tools is not None:
            return ToolChoice("required" if choice.allowed_tools.mode == "required" else "auto")
        named = choice.function or choice.custom
        if named is None:
            raise _Unreadable(wrong("tool_choice", "only the choice of one tool, or of allowed tools, is known."))
        return ToolChoice("named", named.name)
    if isinstance(choice, str):
        if choice == "auto":
            return ToolChoice("auto")
        if choice == "none":
            return ToolChoice("none")
        if choice in {"required", "any"}:
            return ToolChoice("required")
        raise _Unreadable(wrong("tool_choice", f"expected auto, none, required or a function, got {choice[:40]!r}."))
    return None if choice is None else ToolChoice("named", choice.name)


def _stop(stop: str | list[str] | None) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop or ())


def _response_format(given: shapes.Format | None) -> ResponseFormat | None:
    if given is None or given.type == "text":
        return None
    if given.type == "json_object" and not has_something(given.schema):
        return ResponseFormat("json_object")
    schema = given.json_schema
    if schema is None and has_something(given.schema):
        schema = shapes.Schema(schema=given.schema)
    if given.type not in {"json_schema", "json_object"} or schema is None:
        raise _Unreadable(wrong("response_format", "expected type text, json_object, or json_schema with a json_schema."))
    return ResponseFormat("json_schema", _raw(schema.schema) or b"{}", schema.name, schema.description, bool(schema.strict))


def _reasoning(asked: shapes.Asked) -> Reasoning | None:
    """OpenAI's `reasoning_effort`, OpenRouter's `reasoning`, Z.ai's `thinking`, or Alibaba's `enable_thinking`, whichever is given."""
    given, thinking = asked.reasoning, asked.thinking
    show = asked.include_reasoning
    if given is not None and given.exclude is not None:
        show = not given.exclude
    effort = asked.reasoning_effort or (given.effort if given is not None else None)
    budget = given.max_tokens if given is not None else None
    if thinking is not None and budget is None:
        budget = thinking.budget_tokens
    budget = asked.thinking_budget if budget is None else budget
    off = effort == "none" or asked.enable_thinking is False or (given is not None and given.enabled is False)
    if off or (thinking is not None and thinking.type == "disabled"):
        return Reasoning("disabled", show=show)
    on = asked.enable_thinking or given is not None or (thinking is not None and thinking.type is not None)
    if effort is None and budget is None and not on:
        return None if show is None else Reasoning("adaptive", show=show)
    return Reasoning("adaptive" if thinking is not None and thinking.type == "adaptive" else "enabled", effort, budget, show)


def _part_mark(part: shapes.Part) -> CacheMark | None:
    return _mark(part.cache_control) or (CacheMark() if part.prompt_cache_breakpoint is not None else None)


def _mark(cache: shapes.Cache | None) -> CacheMark | None:
    return None if cache is None else CacheMark(cache.ttl)
