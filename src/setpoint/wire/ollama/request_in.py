"""A client's chat request, from bytes to nouns.

Calls of tools have no ids in older clients, and their results name the function at most. So calls get ids by their place, and a result is
matched by id, else by name, else by order.
"""

import msgspec

from setpoint.domain.chat import (
    ChatRequest,
    Image,
    Message,
    Reasoning,
    ResponseFormat,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import bad_body, extra_members, utf8, wrong
from setpoint.wire.ollama.answer import Said, parts_of

_NO_RAW = msgspec.Raw()


class _Message(Said, gc=False):
    role: str = ""
    images: list[str] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _Definition(msgspec.Struct, gc=False):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = _NO_RAW


class _Tool(msgspec.Struct, gc=False):
    type: str = "function"
    function: _Definition | None = None


class _Options(msgspec.Struct, gc=False):
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    num_predict: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None


class _Request(msgspec.Struct, gc=False):
    model: str
    messages: list[_Message] | None = None
    tools: list[_Tool] | None = None
    format: msgspec.Raw = _NO_RAW
    options: msgspec.Raw = _NO_RAW
    think: bool | str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    stream: bool | None = None


_KNOWN = frozenset(_Request.__struct_fields__)
_KNOWN_OPTIONS = frozenset(_Options.__struct_fields__)
_decode = msgspec.json.Decoder(_Request).decode
_options_of = msgspec.json.Decoder(_Options).decode
OPTION = "options."
"""What comes before the name of an option among the extras."""

_IMAGES = {"iVBORw0KGgo": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}
"""How the base64 text of an image begins, by format: only its bytes say which it is."""


class _Unreadable(Exception):
    """Carries the fault from a message up to `decode_request`; never leaves this module."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def decode_request(body: bytes) -> ChatRequest | Fault:
    try:
        asked = _decode(utf8(body))
        raw_options = _raw(asked.options) or b"{}"
        options = _options_of(raw_options)
        extras = extra_members(body, _KNOWN)
        extras |= {OPTION + name: raw for name, raw in extra_members(raw_options, _KNOWN_OPTIONS).items()}
        if not asked.messages:
            return wrong("messages", "at least one message is needed.")
        system, messages = _conversation(asked.messages)
        streams = asked.stream is not False
        return ChatRequest(
            model=asked.model,
            messages=messages,
            system=system,
            tools=tuple([_tool(tool) for tool in asked.tools or ()]),
            sampling=Sampling(
                options.temperature, options.top_p, options.top_k, options.frequency_penalty, options.presence_penalty, options.seed
            ),
            max_tokens=options.num_predict if options.num_predict is not None and options.num_predict > 0 else None,
            stop=(options.stop,) if isinstance(options.stop, str) else tuple(options.stop or ()),
            response_format=_response_format(_raw(asked.format)),
            reasoning=_reasoning(asked.think),
            logprobs=bool(asked.logprobs),
            top_logprobs=asked.top_logprobs,
            stream=streams,
            include_usage=streams,
            extras=extras,
        )
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return bad_body(error)
    except _Unreadable as unreadable:
        return unreadable.fault


def _conversation(messages: list[_Message]) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    """Leading instructions, then turns; results of tools in a row become one message."""
    system: list[Text] = []
    turns: list[Message] = []
    open_calls: list[ToolCall] = []
    for no, message in enumerate(messages):
        role = message.role
        if role == "user":
            turns.append(Message("user", _parts(message)))
        elif role == "assistant":
            parts = parts_of(message, str(no))
            open_calls = [part for part in parts if isinstance(part, ToolCall)]
            turns.append(Message("assistant", parts))
        elif role == "tool":
            result = ToolResult(_answered(message, open_calls, no), _parts(message))
            if turns and turns[-1].role == "tool":
                turns[-1] = Message("tool", (*turns[-1].parts, result))
            else:
                turns.append(Message("tool", (result,)))
        elif role == "system":
            texts = (Text(message.content or ""),)
            if turns:
                turns.append(Message("system", texts))
            else:
                system.extend(texts)
        else:
            raise _Unreadable(wrong(f"messages[{no}].role", f"expected system, user, assistant or tool, got {role[:40]!r}."))
    return tuple(system), tuple(turns)


def _parts(message: _Message) -> tuple[Text | Image, ...]:
    """Images stand behind the text they belong to; a message of images only has no text."""
    images = tuple([_image(data) for data in message.images or ()])
    return (Text(message.content or ""), *images) if message.content or not images else images


def _image(data: str) -> Image:
    if data.startswith("data:"):
        head, _, data = data.partition(",")
        return Image(data=data, media_type=head[5:].partition(";")[0] or "image/png")
    return Image(data=data, media_type=next((kind for begin, kind in _IMAGES.items() if data.startswith(begin)), "image/png"))


def _answered(message: _Message, open_calls: list[ToolCall], no: int) -> str:
    """The id of the call that a result answers; the call is taken off `open_calls`."""
    found = next((call for call in open_calls if call.id == message.tool_call_id), None)
    if found is None and message.tool_call_id:
        return message.tool_call_id
    if found is None and message.tool_name:
        found = next((call for call in open_calls if call.name == message.tool_name), None)
    elif found is None and open_calls:
        found = open_calls[0]
    if found is None:
        return f"call_{no}"
    open_calls.remove(found)
    return found.id


def _tool(tool: _Tool) -> Tool:
    made = tool.function
    if made is None:
        return Tool("", foreign=tool.type[:64])
    return Tool(made.name, made.description, _raw(made.parameters))


def _raw(raw: msgspec.Raw) -> bytes | None:
    text = bytes(raw)
    return None if text in {b"", b"null"} else text


def _response_format(raw: bytes | None) -> ResponseFormat | None:
    if raw is None or raw == b'""':
        return None
    if raw == b'"json"':
        return ResponseFormat("json_object")
    if not raw.startswith(b"{"):
        raise _Unreadable(wrong("format", 'expected "json" or a JSON Schema.'))
    return ResponseFormat("json_schema", raw)


def _reasoning(think: bool | str | None) -> Reasoning | None:
    if think is None:
        return None
    if isinstance(think, str):
        return Reasoning("enabled", think)
    return Reasoning("enabled" if think else "disabled")
