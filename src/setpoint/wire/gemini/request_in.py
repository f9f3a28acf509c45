"""A client's generateContent request, from bytes to nouns. The model and whether to stream are in the path, not here."""

import msgspec

from setpoint.domain.chat import ChatRequest, Message, Part, Text, Thinking, ToolCall, ToolResult
from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.bodies import bad_body, utf8, wrong
from setpoint.wire.gemini import shapes
from setpoint.wire.gemini.config_in import read_config, read_tier
from setpoint.wire.gemini.part_in import content_part
from setpoint.wire.gemini.results_in import CallBook, read_result
from setpoint.wire.gemini.signed import read_signature
from setpoint.wire.gemini.spelling import camel_members
from setpoint.wire.gemini.tools_in import read_choice, read_tools


class _Request(msgspec.Struct, gc=False, rename="camel"):
    contents: msgspec.Raw = shapes.NO_RAW
    system_instruction: msgspec.Raw = shapes.NO_RAW
    tools: msgspec.Raw = shapes.NO_RAW
    tool_config: msgspec.Raw = shapes.NO_RAW
    generation_config: msgspec.Raw = shapes.NO_RAW
    service_tier: str | None = None


_KNOWN = frozenset({"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier", "model"})
_ROLES = frozenset({"user", "model", "function", "tool", "system", ""})
_decode = msgspec.json.Decoder(_Request).decode
_content = msgspec.json.Decoder(shapes.Content).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode


class Unreadable(Exception):
    """Carries the fault from a part up to `decode_request`; never leaves this room."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def decode_request(body: bytes) -> ChatRequest | Fault:
    try:
        return _read(camel_members(utf8(body)))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return bad_body(error)
    except RecursionError:
        return Fault(FaultKind.bad_request, "The request body is nested too deeply.")
    except Unreadable as unreadable:
        return unreadable.fault


def _read(body: bytes) -> ChatRequest | Fault:
    asked = _decode(body)
    extras = {name: raw for name, value in _members(body).items() if name not in _KNOWN and (raw := shapes.given(value))}
    contents = shapes.items(asked.contents)
    if not contents:
        return wrong("contents", "at least one content is needed.")
    tools = read_tools(asked.tools, extras)
    choice, tools = read_choice(asked.tool_config, tools, extras)
    config = read_config(asked.generation_config, extras)
    messages, late = read_contents(contents)
    return ChatRequest(
        model="",
        messages=messages,
        system=(*_system(asked.system_instruction), *late),
        tools=tuple(tools),
        tool_choice=choice,
        sampling=config.sampling,
        max_tokens=config.max_tokens,
        stop=config.stop,
        response_format=config.response_format,
        reasoning=config.reasoning,
        n=config.n,
        logprobs=config.logprobs,
        top_logprobs=config.top_logprobs,
        service_tier=read_tier(asked.service_tier),
        include_usage=True,
        extras=extras,
    )


def _system(raw: msgspec.Raw) -> tuple[Text, ...]:
    given = shapes.given(raw)
    if not given:
        return ()
    if given.startswith(b'"'):
        return (Text(_text(given)),)
    parts = [shapes.decode_part(part) for part in shapes.items(_content(given).parts)]
    return tuple(Text(part.text) for part in parts if part.text)


def read_contents(contents: list[bytes]) -> tuple[tuple[Message, ...], tuple[Text, ...]]:
    """The turns, and instructions that were sent ahead of them as contents.

    Results of functions become messages of their own, ahead of what else the user says with them. Turns of the model in a row are one:
    clients keep a streamed answer as one content for each chunk.
    """
    reader = _Contents()
    for no, raw in enumerate(contents):
        reader.add(raw, f"contents[{no}]")
    return tuple(reader.turns), tuple(reader.instructions)


class _Contents:
    __slots__ = ("book", "instructions", "turns")

    def __init__(self) -> None:
        self.book = CallBook()
        self.turns: list[Message] = []
        self.instructions: list[Text] = []

    def add(self, raw: bytes, at: str) -> None:
        content = _content(raw)
        role = (content.role or "").lower()
        if role not in _ROLES:
            raise Unreadable(wrong(f"{at}.role", f"expected user or model, got {role[:40]!r}."))
        parts = [
            part for no, found in enumerate(shapes.items(content.parts)) if (part := self.part(found, f"{at}.parts[{no}]")) is not None
        ]
        if role == "system":
            self.system(parts)
        elif role == "model":
            self.model(parts)
        else:
            self.user(parts)

    def part(self, raw: bytes, at: str) -> Part | None:
        try:
            part = shapes.decode_part(raw)
        except msgspec.ValidationError as error:
            raise Unreadable(wrong(at, f"{error}.")) from error
        if part.function_call is not None:
            call = part.function_call
            signature, _ = read_signature(part.thought_signature or "")
            name = call.name or ""
            given = shapes.given(call.args)
            return ToolCall(self.book.called(call.id, name), name, shapes.compact(given) if given else "{}", signature=signature)
        if part.function_response is not None:
            return read_result(part.function_response, self.book)
        return content_part(part, raw)

    def system(self, parts: list[Part]) -> None:
        texts = tuple(part for part in parts if isinstance(part, Text))
        if not self.turns:
            self.instructions += texts
        elif texts:
            self.turns.append(Message("system", texts))

    def user(self, parts: list[Part]) -> None:
        results = tuple(part for part in parts if isinstance(part, ToolResult))
        if results and self.turns and self.turns[-1].role == "tool":
            self.turns[-1] = Message("tool", self.turns[-1].parts + results)
        elif results:
            self.turns.append(Message("tool", results))
        rest = tuple(part for part in parts if not isinstance(part, ToolResult))
        if rest or not results:
            self.turns.append(Message("user", rest or (Text(""),)))

    def model(self, parts: list[Part]) -> None:
        if not parts:
            return
        if self.turns and self.turns[-1].role == "assistant":
            parts = [*self.turns.pop().parts, *parts]
        self.turns.append(Message("assistant", tuple(_joined(parts))))


def _joined(parts: list[Part]) -> list[Part]:
    """Texts and thoughts in a row are one; a signature ends the part it stands with."""
    made: list[Part] = []
    for part in parts:
        last = made[-1] if made else None
        if isinstance(part, Text) and isinstance(last, Text) and not last.signature:
            made[-1] = Text(last.text + part.text, signature=part.signature)
        elif isinstance(part, Thinking) and isinstance(last, Thinking) and not (last.signature or last.redacted or part.redacted):
            made[-1] = Thinking(last.text + part.text, part.signature)
        else:
            made.append(part)
    return made
