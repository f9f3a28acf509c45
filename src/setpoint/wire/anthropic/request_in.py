"""A client's messages request, from bytes to nouns."""

from collections.abc import Callable
from functools import partial

import msgspec

from setpoint.domain.chat import (
    CacheMark,
    ChatRequest,
    Citation,
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
from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.anthropic import request_shapes as shapes
from setpoint.wire.anthropic.citations import citations_of
from setpoint.wire.anthropic.signed_parts import put_back
from setpoint.wire.bodies import bad_body, extra_members, utf8, wrong
from setpoint.wire.carried import carried
from setpoint.wire.signatures import marked

_KNOWN = frozenset(shapes.Asked.__struct_fields__)
_decode = msgspec.json.Decoder(shapes.Asked).decode
_source = msgspec.json.Decoder(shapes.Source).decode
_content = msgspec.json.Decoder(str | list[shapes.Block]).decode
_raw_parts = msgspec.json.Decoder(shapes.RawParts).decode
_raw_tools = msgspec.json.Decoder(shapes.RawTools).decode
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode
_citing = msgspec.json.Decoder(shapes.Citing).decode
_encode = msgspec.json.Encoder().encode

_CHOICES = {"auto": ToolChoice("auto"), "any": ToolChoice("required"), "none": ToolChoice("none")}
_SHOW = {"summarized": True, "omitted": False}
_MORE_OF_TOOLS = (b'"defer_loading"', b'"allowed_callers"', b'"input_examples"', b'"eager_input_streaming"')
"""Members of a client's own tool that no other dialect has."""

CITATIONS = "documents.citations"
"""Extra: the answer shall cite the documents. Anthropic wants it said for all documents of a request or for none."""
CONTEXT = "documents.context"
"""Extra: what the model is told of each document, a list in their order."""
TOOL_MEMBERS = "tools.members"
"""Extra: some tools have members that only Anthropic knows; they are in the raw form of the tool."""
TASK_BUDGET = "output_config.task_budget"


class _Unreadable(Exception):
    """Carries the fault from a block up to `decode_request`; never leaves this module."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def decode_request(body: bytes) -> ChatRequest | Fault:
    request = decode_prompt(body)
    if isinstance(request, ChatRequest) and request.max_tokens is None:
        return Fault(FaultKind.bad_request, "`max_tokens` is missing; it is required.", "max_tokens")
    return request


def decode_prompt(body: bytes) -> ChatRequest | Fault:
    """A request whose `max_tokens` may be missing, as those that only count tokens."""
    try:
        asked = _decode(utf8(body))
        extras = extra_members(body, _KNOWN)
        if not asked.messages:
            return wrong("messages", "at least one message is needed.")
        reader = _Conversation(body)
        messages = reader.turns(asked.messages)
        tools = reader.tools(asked.tools or [])
        config = asked.output_config
        if config is not None and bytes(config.task_budget) not in {b"", b"null"}:
            extras[TASK_BUDGET] = bytes(config.task_budget)
        return ChatRequest(
            model=asked.model,
            messages=messages,
            system=_system(asked.system),
            tools=tools,
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
            extras=extras | reader.extras(),
        )
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return bad_body(error)
    except _Unreadable as unreadable:
        return unreadable.fault


def _system(system: str | list[shapes.Block] | None) -> tuple[Text, ...]:
    if isinstance(system, str):
        return (Text(system),) if system else ()
    return tuple(Text(block.text or "", _mark(block.cache_control)) for block in system or ())


class _Conversation:
    """The messages of one request. The body is kept for blocks that only this dialect can say, which are carried as they stand there."""

    __slots__ = ("_body", "_citing", "_contexts", "_more_of_tools")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._citing = False
        self._contexts: list[str | None] = []
        self._more_of_tools = False

    def extras(self) -> dict[str, bytes]:
        extras = {}
        if self._citing:
            extras[CITATIONS] = b"true"
        if any(self._contexts):
            extras[CONTEXT] = _encode(self._contexts)
        if self._more_of_tools:
            extras[TOOL_MEMBERS] = b"true"
        return extras

    def turns(self, messages: list[shapes.AskedMessage]) -> tuple[Message, ...]:
        """Results of tools become messages of their own, ahead of what else the user says with them."""
        turns: list[Message] = []
        for no, message in enumerate(messages):
            if message.role not in {"user", "assistant", "system"}:
                raise _Unreadable(wrong(f"messages[{no}].role", f"expected user, assistant or system, got {message.role[:40]!r}."))
            role: Speaker = message.role  # type: ignore[assignment]  # checked above
            parts = self.message_parts(message.content, no)
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

    def message_parts(self, content: str | list[shapes.Block], no: int) -> tuple[Part, ...]:
        def raw(at: int) -> bytes:
            return carried(_raws(_raw_parts(self._body).messages[no].content)[at])

        return tuple(put_back(list(self.parts(content, f"messages[{no}].content", raw))))

    def parts(self, content: str | list[shapes.Block], at: str, raw: Callable[[int], bytes]) -> tuple[Part, ...]:
        if isinstance(content, str):
            return (Text(content),)
        return tuple([self.part(block, f"{at}[{no}]", partial(raw, no)) for no, block in enumerate(content)])

    def part(self, block: shapes.Block, at: str, raw: Callable[[], bytes]) -> Part:
        kind = block.type
        if kind == "text":
            return Text(block.text or "", _mark(block.cache_control), citations_of(block.citations))
        if kind == "tool_use":
            return ToolCall(
                _required(block.id, f"{at}.id"), _required(block.name, f"{at}.name"), _arguments(block.input), _mark(block.cache_control)
            )
        if kind == "tool_result":
            return self.result(block, at)
        if kind == "thinking":
            return Thinking(block.thinking or "", marked("anthropic", block.signature or ""))
        if kind == "redacted_thinking":
            return Thinking("", redacted=marked("anthropic", block.data or ""))
        if kind == "image":
            return _image(_source(block.source), block, at)
        if kind == "document":
            return self.document(_source(block.source), block, raw)
        if kind == "search_result":
            return _sourced(block, raw(), block.title, _string(block.source), block.content)
        return Foreign(kind[:64], "anthropic", raw())

    def result(self, block: shapes.Block, at: str) -> ToolResult:
        given = bytes(block.content)
        content = "" if given in {b"", b"null"} else _content(given)
        parts = self.parts(content, f"{at}.content", lambda no: carried(_raws(given)[no])) if content else ()
        kept = tuple(part if isinstance(part, Text | Image | Document | Foreign) else Foreign("content") for part in parts)
        return ToolResult(_required(block.tool_use_id, f"{at}.tool_use_id"), kept, bool(block.is_error), _mark(block.cache_control))

    def document(self, source: shapes.Source, block: shapes.Block, raw: Callable[[], bytes]) -> Part:
        if source.type == "content":
            return _sourced(block, raw(), block.title, "", source.content)
        self._contexts.append(block.context)
        given = bytes(block.citations)
        self._citing = self._citing or (given.startswith(b"{") and bool(_citing(given).enabled))
        cache = _mark(block.cache_control)
        if source.type == "text":
            return Document(block.title, text=source.data, cache=cache)
        media_type = source.media_type if source.data is not None else None
        return Document(block.title, source.data, media_type, url=source.url, file_id=source.file_id, cache=cache)

    def tools(self, tools: list[shapes.AskedTool]) -> tuple[Tool, ...]:
        self._more_of_tools = any(word in self._body for word in _MORE_OF_TOOLS)
        raws = _raw_tools(self._body).tools if self._more_of_tools or any(tool.type not in {None, "custom"} for tool in tools) else []
        made = tuple(_tool(tool, no, carried(raws[no]) if raws else b"") for no, tool in enumerate(tools))
        self._more_of_tools = any(tool.raw and tool.foreign is None for tool in made)
        return made


def _sourced(block: shapes.Block, raw: bytes, title: str | None, source: str, content: msgspec.Raw) -> Part:
    """A source given with the prompt: for others a text under its title, which keeps the block as it was given. With images it is not."""
    text = _texts(content)
    if text is None:
        return Foreign(block.type, "anthropic", raw)
    said = "\n".join(line for line in (title, source) if line)
    whole = f"{said}\n\n{text}" if said else text
    return Text(whole, _mark(block.cache_control), (Citation(source, title or "", dialect="anthropic", raw=raw),))


def _texts(content: msgspec.Raw) -> str | None:
    given = bytes(content)
    if given in {b"", b"null"}:
        return ""
    blocks = _content(given)
    if isinstance(blocks, str):
        return blocks
    return "\n\n".join(block.text or "" for block in blocks) if all(block.type == "text" for block in blocks) else None


def _string(raw: msgspec.Raw) -> str:
    return _text(raw) if bytes(raw).startswith(b'"') else ""


def _required(value: str | None, at: str) -> str:
    if value is None:
        raise _Unreadable(wrong(at, "is missing; it is required."))
    return value


def _arguments(raw: msgspec.Raw) -> str:
    return bytes(raw).decode("utf-8", "replace") or "{}"


def _image(source: shapes.Source, block: shapes.Block, at: str) -> Image:
    if source.type not in {"base64", "url", "file"}:
        raise _Unreadable(wrong(f"{at}.source.type", "expected base64, url or file."))
    media_type = source.media_type if source.data is not None else None
    return Image(source.url, source.data, media_type, source.file_id, cache=_mark(block.cache_control))


def _tool(tool: shapes.AskedTool, no: int, raw: bytes) -> Tool:
    if tool.type not in {None, "custom"}:
        return Tool(tool.name or "", foreign=str(tool.type)[:64], dialect="anthropic", raw=raw)
    name, schema = _required(tool.name, f"tools[{no}].name"), bytes(tool.input_schema)
    kept = raw if any(word in raw for word in _MORE_OF_TOOLS) else b""
    return Tool(
        name,
        tool.description,
        None if schema in {b"", b"null"} else schema,
        tool.strict,
        _mark(tool.cache_control),
        dialect="anthropic" if kept else "",
        raw=kept,
    )


def _tool_choice(choice: shapes.Choice | None) -> ToolChoice | None:
    if choice is None:
        return None
    if choice.type == "tool":
        return ToolChoice("named", _required(choice.name, "tool_choice.name"))
    if choice.type not in _CHOICES:
        raise _Unreadable(wrong("tool_choice.type", f"expected auto, any, tool or none, got {choice.type[:40]!r}."))
    return _CHOICES[choice.type]


def _parallel(choice: shapes.Choice | None) -> bool | None:
    return None if choice is None or choice.disable_parallel_tool_use is None else not choice.disable_parallel_tool_use


def _response_format(asked: shapes.Asked) -> ResponseFormat | None:
    given = (asked.output_config.format if asked.output_config else None) or asked.output_format
    return None if given is None else ResponseFormat("json_schema", bytes(given.schema) or b"{}")


def _reasoning(asked: shapes.Asked) -> Reasoning | None:
    effort = asked.output_config.effort if asked.output_config else None
    thinking = asked.thinking
    if thinking is None:
        return None if effort is None else Reasoning("adaptive", effort)
    if thinking.type == "disabled":
        return Reasoning("disabled", effort)
    show = _SHOW.get(thinking.display or "")
    return Reasoning("enabled" if thinking.type == "enabled" else "adaptive", effort, thinking.budget_tokens, show)


def _mark(cache: shapes.Cache | None) -> CacheMark | None:
    return None if cache is None else CacheMark(cache.ttl)
