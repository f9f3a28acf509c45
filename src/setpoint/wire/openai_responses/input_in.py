"""The `input` of a request, a text or a list of items, to turns.

Items of the assistant in a row (messages, calls, reasoning, traces of tools that ran at the provider) are one turn, and so are results of
tools. Messages of the user stay apart.
"""

import msgspec

from setpoint.domain.chat import Document, Foreign, Image, Message, Part, Text, Tool, ToolResult
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import bad_body, unsupported, wrong
from setpoint.wire.openai_responses.content_in import Unreadable, parts_of
from setpoint.wire.openai_responses.items_in import KIND_CHARS_MAX, Parts, call_item, call_of, reasoning_item
from setpoint.wire.openai_responses.tools_in import tool_of
from setpoint.wire.openai_responses.words import NAME

_NO_RAW = msgspec.Raw()


class _Item(msgspec.Struct, gc=False):
    """What several kinds of items have; each kind is read again in its own form."""

    type: str | None = None
    role: str | None = None
    id: str | None = None
    call_id: str | None = None
    content: msgspec.Raw = _NO_RAW
    output: msgspec.Raw = _NO_RAW
    tools: list[msgspec.Raw] | None = None
    phase: msgspec.Raw = _NO_RAW
    namespace: msgspec.Raw = _NO_RAW


class _Kept(msgspec.Struct, gc=False):
    type: str | None = None
    role: str | None = None
    id: msgspec.Raw = _NO_RAW


_kept = msgspec.json.Decoder(_Kept).decode
_item = msgspec.json.Decoder(_Item).decode

_RESULTS = frozenset({"function_call_output", "custom_tool_call_output"})
_CALLS = frozenset({"function_call", "custom_tool_call"})
_USERS_OWN = frozenset(
    {
        "computer_call_output",
        "local_shell_call_output",
        "shell_call_output",
        "apply_patch_call_output",
        "mcp_approval_response",
        "compaction",
        "compaction_summary",
        "compaction_trigger",
    }
)
"""Items without which the model cannot answer: who cannot say them has to refuse the request."""

ITEM_REFERENCE = (
    "an item_reference points at what its provider keeps, which no other provider can read; send the item itself, "
    "or use a route whose upstream speaks Responses."
)


class Conversation:
    """Turns while they are read. `notes` names what no noun carries."""

    __slots__ = ("_assistant", "notes", "system", "tools", "turns")

    def __init__(self) -> None:
        self.system: list[Text] = []
        self.turns: list[Message] = []
        self.tools: list[Tool] = []
        self.notes: dict[str, bytes] = {}
        self._assistant: Parts | None = None

    def read(self, items: list[msgspec.Raw]) -> None:
        for no, raw in enumerate(items):
            try:
                self._item(raw, f"input[{no}]")
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Unreadable(_placed(bad_body(error), f"input[{no}]")) from None
        self._end_assistant()

    def _item(self, raw: msgspec.Raw, at: str) -> None:
        kept = _kept(raw)
        kind = kept.type or ("message" if kept.role is not None else "item_reference")
        if kind == "message":
            self._message(_item(raw), at)
        elif kind in _CALLS:
            self._note("namespace", _item(raw).namespace)
            self._speaking().add(call_of(call_item(raw), kind))
        elif kind in _RESULTS:
            self._result(_item(raw), at)
        elif kind == "reasoning":
            self._speaking().add_reasoning(reasoning_item(raw))
        elif kind == "item_reference":
            raise Unreadable(unsupported(at, ITEM_REFERENCE))
        elif kind == "additional_tools":
            self._add_tools(_item(raw), at)
            self.notes["input.additional_tools"] = b"true"
        elif kind in _USERS_OWN:
            self._turn(Message("user", (Foreign(kind[:KIND_CHARS_MAX], NAME, bytes(raw)),)))
        else:
            if kind == "tool_search_output":
                self._add_tools(_item(raw), at)
            self._speaking().add(Foreign(kind[:KIND_CHARS_MAX], NAME, bytes(raw)))

    def _note(self, what: str, raw: msgspec.Raw) -> None:
        if bytes(raw) not in {b"", b"null"}:
            self.notes[f"input.{what}"] = bytes(raw)

    # ---------------------------------------------------------------- turns

    def _speaking(self) -> Parts:
        if self._assistant is None:
            self._assistant = Parts()
        return self._assistant

    def _end_assistant(self) -> None:
        if self._assistant is not None:
            if parts := self._assistant.close():
                self.turns.append(Message("assistant", tuple(parts)))
            self._assistant = None

    def _turn(self, message: Message) -> None:
        self._end_assistant()
        self.turns.append(message)

    def _message(self, item: _Item, at: str) -> None:
        parts = parts_of(item.content, f"{at}.content")
        self._note("phase", item.phase)
        if item.role == "assistant":
            assistant = self._speaking()
            for part in parts:
                assistant.add(part)
        elif item.role == "user":
            self._turn(Message("user", parts or (Text(""),)))
        elif item.role in {"system", "developer"}:
            self._instructions(parts, at)
        else:
            got = (item.role or "")[:40]
            raise Unreadable(wrong(f"{at}.role", f"expected user, assistant, system or developer, got {got!r}."))

    def _instructions(self, parts: tuple[Part, ...], at: str) -> None:
        texts = tuple(part for part in parts if isinstance(part, Text))
        if len(texts) != len(parts):
            raise Unreadable(wrong(f"{at}.content", "instructions can be text only."))
        self._end_assistant()
        if self.turns:
            self.turns.append(Message("system", texts))
        else:
            self.system += texts

    def _result(self, item: _Item, at: str) -> None:
        self._end_assistant()
        if not item.call_id:
            raise Unreadable(wrong(f"{at}.call_id", "is missing; a result answers one call."))
        parts = parts_of(item.output, f"{at}.output")
        kept = tuple(part if isinstance(part, Text | Image | Document | Foreign) else Foreign("content") for part in parts)
        result = ToolResult(item.call_id, kept)
        if self.turns and self.turns[-1].role == "tool":
            self.turns[-1] = Message("tool", (*self.turns[-1].parts, result))
        else:
            self.turns.append(Message("tool", (result,)))

    def _add_tools(self, item: _Item, at: str) -> None:
        """Tools that a search found, or that came later, are tools of the conversation."""
        for no, raw in enumerate(item.tools or ()):
            tool = tool_of(raw, f"{at}.tools[{no}]", self.notes)
            if tool.foreign is None and all(known.name != tool.name for known in self.tools):
                self.tools.append(tool)


def _placed(fault: Fault, at: str) -> Fault:
    """A fault found inside an item, with the whole path."""
    param = f"{at}.{fault.param}" if fault.param else at
    return Fault(fault.kind, fault.message.replace(f"`{fault.param or 'body'}`", f"`{param}`", 1), param)
