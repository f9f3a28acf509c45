"""A client's chat request, from bytes to nouns.

Documents of the request are what the last message of the user brings along, so they stand ahead of it.
"""

import msgspec

from setpoint.domain.chat import (
    ChatRequest,
    Document,
    Foreign,
    Image,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    Sampling,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
)
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import bad_body, extra_members, utf8, wrong
from setpoint.wire.cohere.answer import Said, parts_of
from setpoint.wire.cohere.citations import NAME
from setpoint.wire.cohere.documents import read_document

_NO_RAW = msgspec.Raw()


class _ImageUrl(msgspec.Struct, gc=False):
    url: str
    detail: str | None = None


class _Part(msgspec.Struct, gc=False):
    type: str
    text: str | None = None
    image_url: _ImageUrl | str | None = None
    document: msgspec.Raw = _NO_RAW


class _Message(Said, gc=False):
    role: str = ""
    tool_call_id: str | None = None


class _Definition(msgspec.Struct, gc=False):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = _NO_RAW


class _Tool(msgspec.Struct, gc=False):
    type: str = "function"
    function: _Definition | None = None


class _Format(msgspec.Struct, gc=False):
    type: str
    json_schema: msgspec.Raw = _NO_RAW
    schema: msgspec.Raw = _NO_RAW


class _Thinking(msgspec.Struct, gc=False):
    type: str
    token_budget: int | None = None


class _Request(msgspec.Struct, gc=False):
    model: str
    messages: list[_Message]
    tools: list[_Tool] | None = None
    strict_tools: bool | None = None
    tool_choice: str | None = None
    documents: list[msgspec.Raw] | None = None
    response_format: _Format | None = None
    max_tokens: int | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    p: float | None = None
    k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool | None = None
    thinking: _Thinking | None = None
    stream: bool | None = None


_KNOWN = frozenset(_Request.__struct_fields__)
_decode = msgspec.json.Decoder(_Request).decode
_part_of = msgspec.json.Decoder(_Part).decode
_CHOICES = {"REQUIRED": ToolChoice("required"), "NONE": ToolChoice("none")}
DOCUMENT_IDS = "documents.id"
"""The loss that ids of documents are: the nouns number documents."""


class _Unreadable(Exception):
    """Carries the fault from a message up to `decode_request`; never leaves this module."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def decode_request(body: bytes) -> ChatRequest | Fault:
    try:
        asked = _decode(utf8(body))
        extras = extra_members(body, _KNOWN)
        if not asked.messages:
            return wrong("messages", "at least one message is needed.")
        system, messages = _conversation(asked.messages)
        documents = _documents(asked.documents or [], extras)
        choice = _tool_choice(asked.tool_choice)
        return ChatRequest(
            model=asked.model,
            messages=_with_documents(messages, documents),
            system=system,
            tools=tuple([_tool(tool, asked.strict_tools) for tool in asked.tools or ()]),
            tool_choice=choice,
            sampling=Sampling(asked.temperature, asked.p, asked.k, asked.frequency_penalty, asked.presence_penalty, asked.seed),
            max_tokens=asked.max_tokens,
            stop=tuple(asked.stop_sequences or ()),
            response_format=_response_format(asked.response_format),
            reasoning=_reasoning(asked.thinking),
            logprobs=bool(asked.logprobs),
            stream=bool(asked.stream),
            include_usage=bool(asked.stream),
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
    for no, message in enumerate(messages):
        role = message.role
        if role == "user":
            turns.append(Message("user", _parts(message, no)))
        elif role == "assistant":
            turns.append(Message("assistant", parts_of(message, str(no))))
        elif role == "tool":
            result = _result(message, no)
            if turns and turns[-1].role == "tool":
                turns[-1] = Message("tool", (*turns[-1].parts, result))
            else:
                turns.append(Message("tool", (result,)))
        elif role in {"system", "developer"}:
            texts = tuple([part for part in _parts(message, no) if isinstance(part, Text)])
            if turns:
                turns.append(Message("system", texts))
            else:
                system.extend(texts)
        else:
            raise _Unreadable(wrong(f"messages[{no}].role", f"expected system, user, assistant or tool, got {role[:40]!r}."))
    return tuple(system), tuple(turns)


def _parts(message: _Message, no: int) -> tuple[Part, ...]:
    if isinstance(message.content, str):
        return (Text(message.content),)
    return tuple([_part(raw, f"messages[{no}].content[{at}]") for at, raw in enumerate(message.content or ())])


def _part(raw: msgspec.Raw, at: str) -> Text | Image | Document | Foreign:
    part = _part_of(raw)
    if part.type == "text":
        return Text(part.text or "")
    if part.type == "image_url":
        if part.image_url is None:
            raise _Unreadable(wrong(f"{at}.image_url", "is missing."))
        return _image(part.image_url)
    if part.type == "document" and bytes(part.document):
        return read_document(part.document)[0]
    return Foreign(part.type[:64], NAME, bytes(raw))


def _image(given: _ImageUrl | str) -> Image:
    url, detail = (given, None) if isinstance(given, str) else (given.url, given.detail)
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        return Image(data=data, media_type=head[5:-7].partition(";")[0] or "image/png", detail=detail)
    return Image(url=url, detail=detail)


def _result(message: _Message, no: int) -> ToolResult:
    if message.tool_call_id is None:
        raise _Unreadable(wrong(f"messages[{no}].tool_call_id", "is missing; a tool message answers one call."))
    parts = _parts(message, no) if message.content else ()
    return ToolResult(message.tool_call_id, tuple([part for part in parts if isinstance(part, Text | Image | Document | Foreign)]))


def _documents(given: list[msgspec.Raw], extras: dict[str, bytes]) -> tuple[Document, ...]:
    found = [read_document(raw) for raw in given]
    if any(named for _, named in found):
        extras[DOCUMENT_IDS] = b"true"
    return tuple([document for document, _ in found])


def _with_documents(messages: tuple[Message, ...], documents: tuple[Document, ...]) -> tuple[Message, ...]:
    if not documents:
        return messages
    for no in range(len(messages) - 1, -1, -1):
        if messages[no].role == "user":
            return (*messages[:no], Message("user", (*documents, *messages[no].parts)), *messages[no + 1 :])
    return (*messages, Message("user", documents))


def _tool(tool: _Tool, strict: bool | None) -> Tool:
    made = tool.function
    if made is None:
        return Tool("", foreign=tool.type[:64])
    return Tool(made.name, made.description, _raw(made.parameters), strict)


def _raw(raw: msgspec.Raw) -> bytes | None:
    text = bytes(raw)
    return None if text in {b"", b"null"} else text


def _tool_choice(choice: str | None) -> ToolChoice | None:
    if choice is None:
        return None
    known = _CHOICES.get(choice.upper())
    if known is None:
        raise _Unreadable(wrong("tool_choice", f"expected REQUIRED or NONE, got {choice[:40]!r}."))
    return known


def _response_format(given: _Format | None) -> ResponseFormat | None:
    if given is None or given.type == "text":
        return None
    if given.type != "json_object":
        raise _Unreadable(wrong("response_format.type", f"expected text or json_object, got {given.type[:40]!r}."))
    schema = _raw(given.json_schema) or _raw(given.schema)
    return ResponseFormat("json_object") if schema is None else ResponseFormat("json_schema", schema)


def _reasoning(given: _Thinking | None) -> Reasoning | None:
    if given is None:
        return None
    return Reasoning("disabled") if given.type == "disabled" else Reasoning("enabled", budget_tokens=given.token_budget)
