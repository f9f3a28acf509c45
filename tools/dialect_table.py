"""Writes the tables of docs/dialects.md from the dialects themselves: what each of them can say.

    python tools/dialect_table.py           rewrite the tables
    python tools/dialect_table.py --check   exit 1 when they are not what the code does

Each thing a request can ask for is encoded to every dialect, and each thing an answer can hold is written in every dialect and read back.
So a cell is what the code did, and the notes are its own words.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from setpoint.domain.chat import (
    Audio,
    CacheMark,
    ChatAnswer,
    ChatRequest,
    Citation,
    Document,
    Finish,
    Image,
    Message,
    Part,
    Reasoning,
    Refusal,
    ResponseFormat,
    Sampling,
    Text,
    Thinking,
    TokenLogprob,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from setpoint.domain.faults import Fault
from setpoint.domain.plan import DialectName
from setpoint.domain.usage import Usage
from setpoint.gateway.dialects import DIALECTS
from setpoint.wire.dialect import Dialect

PAGE = Path(__file__).resolve().parent.parent / "docs" / "dialects.md"
BEGIN, END = "<!-- begin: tools/dialect_table.py -->", "<!-- end: tools/dialect_table.py -->"

MODELS: dict[DialectName, str] = {
    "openai_chat": "gpt-4.1",
    "openai_responses": "gpt-4.1",
    "openai_completions": "gpt-3.5-turbo-instruct",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-pro",
    "bedrock_converse": "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "cohere": "command-a-03-2025",
    "ollama": "llama3.1",
}
TITLES: dict[DialectName, str] = {
    "openai_chat": "OpenAI Chat",
    "openai_responses": "OpenAI Responses",
    "openai_completions": "OpenAI Completions",
    "anthropic": "Anthropic",
    "gemini": "Gemini",
    "bedrock_converse": "Bedrock Converse",
    "cohere": "Cohere v2",
    "ollama": "Ollama",
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = b'{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}'
TOOL = Tool("look_up", "Looks something up", SCHEMA)
CALL = ToolCall("call_abcdef123", "look_up", '{"a":"b"}')


def _user(*parts: Part) -> tuple[Message, ...]:
    return (Message("user", (Text("hi"), *parts)),)


def _history(*parts: Part, result: ToolResult | None = None) -> dict[str, Any]:
    answered = result or ToolResult("call_abcdef123", (Text("found"),))
    return {"tools": (TOOL,), "messages": (*_user(), Message("assistant", (*parts, CALL)), Message("tool", (answered,)))}


REQUESTS: dict[str, dict[str, Any]] = {
    "system prompt": {"system": (Text("be brief"),)},
    "system turn in the middle": {
        "messages": (*_user(), Message("assistant", (Text("a"),)), Message("system", (Text("s"),)), *_user()),
    },
    "image, inline": {"messages": _user(Image(data=PIXEL, media_type="image/png"))},
    "image by URL": {"messages": _user(Image(url="https://example.com/a.png"))},
    "PDF, inline": {"messages": _user(Document("a.pdf", data="JVBERi0=", media_type="application/pdf"))},
    "PDF by URL": {"messages": _user(Document("a.pdf", url="https://example.com/a.pdf", media_type="application/pdf"))},
    "text document": {"messages": _user(Document("a.txt", text="words"))},
    "sound": {"messages": _user(Audio("AAAA", "wav"))},
    "tools, calls and results": _history(),
    "a failed tool": _history(result=ToolResult("call_abcdef123", (Text("no"),), is_error=True)),
    "an image in a tool's result": _history(result=ToolResult("call_abcdef123", (Image(data=PIXEL, media_type="image/png"),))),
    "some tool must be called": {"tools": (TOOL,), "tool_choice": ToolChoice("required")},
    "one tool must be called": {"tools": (TOOL,), "tool_choice": ToolChoice("named", "look_up")},
    "no tool may be called": {"tools": (TOOL,), "tool_choice": ToolChoice("none")},
    "one call at a time": {"tools": (TOOL,), "parallel_tool_calls": False},
    "strict arguments": {"tools": (Tool("look_up", "d", SCHEMA, strict=True),)},
    "answer by JSON Schema": {"response_format": ResponseFormat("json_schema", SCHEMA, "answer")},
    "answer as any JSON": {"response_format": ResponseFormat("json_object")},
    "earlier thinking, signed elsewhere": _history(Thinking("hm", "gemini:c2ln")),
    "reasoning effort": {"reasoning": Reasoning(effort="low"), "max_tokens": 8_000},
    "reasoning budget": {"reasoning": Reasoning(budget_tokens=2_048), "max_tokens": 8_000},
    "max_tokens": {"max_tokens": 100},
    "temperature": {"sampling": Sampling(temperature=0.5)},
    "top_p": {"sampling": Sampling(top_p=0.5)},
    "top_k": {"sampling": Sampling(top_k=5)},
    "penalties": {"sampling": Sampling(frequency_penalty=0.5, presence_penalty=0.5)},
    "seed": {"sampling": Sampling(seed=7)},
    "stop sequences": {"stop": ("END",)},
    "log-probs": {"logprobs": True, "top_logprobs": 2},
    "several answers (n)": {"n": 2},
    "verbosity": {"verbosity": "low"},
    "service tier": {"service_tier": "auto"},
    "end user": {"user": "u1"},
    "prompt-cache mark": {"system": (Text("be brief", CacheMark()),)},
}

ANSWERS: dict[str, dict[str, Any]] = {
    "text": {"parts": (Text("hello"),)},
    "parallel calls, ids kept": {
        "parts": (CALL, ToolCall("call_zyxwvu987", "look_up", '{"a":"c"}')),
        "finish": "tool_calls",
    },
    "thinking": {"parts": (Thinking("hm"), Text("hello"))},
    "thinking, signed by Anthropic": {"parts": (Thinking("hm", "anthropic:c2ln"), Text("hello"))},
    "thinking, signed by Gemini": {"parts": (Text("hello", signature="gemini:c2ln"),)},
    "refusal": {"parts": (Refusal("no"),)},
    "citations by URL": {"parts": (Text("hello", citations=(Citation("https://example.com", "t", start=0, end=5),)),)},
    "log-probs": {"parts": (Text("hello"),), "logprobs": (TokenLogprob("hello", -0.5, b"hello"),)},
    "service tier": {"parts": (Text("hello"),), "service_tier": "priority"},
    "cached tokens": {"parts": (Text("hello"),), "usage": Usage(input=10, cached_read=5, output=3)},
    "tokens written to a cache": {"parts": (Text("hello"),), "usage": Usage(input=10, cache_write=5, output=3)},
    "reasoning tokens": {"parts": (Text("hello"),), "usage": Usage(input=10, output=3, reasoning=4)},
}
FINISHES: tuple[Finish, ...] = ("stop", "stop_sequence", "length", "tool_calls", "content_filter", "refusal", "pause")


class Notes:
    """Numbered notes; the same words get the same number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, text: str) -> str:
        return f"[{self._numbers.setdefault(text, len(self._numbers) + 1)}]"

    def lines(self) -> Iterator[str]:
        for text, number in self._numbers.items():
            yield f"{number}. {text}"


def _asked(members: dict[str, Any]) -> ChatRequest:
    return ChatRequest(**{"model": "m", "messages": _user(), **members})


def said_request(name: DialectName, members: dict[str, Any], notes: Notes) -> str:
    """One cell: yes, yes with what is lost, or refused."""
    dialect = DIALECTS[name]
    plain = dialect.encode_request(_asked({}), MODELS[name], False)
    usual = set() if isinstance(plain, Fault) else set(plain.losses)
    encoded = dialect.encode_request(_asked(members), MODELS[name], False)
    if isinstance(encoded, Fault):
        return f"refused {notes.mark(encoded.message)}"
    lost = [loss for loss in encoded.losses if loss not in usual]
    return "yes" if not lost else " ".join(["named", *(notes.mark(loss) for loss in lost)])


def said_answer(dialect: Dialect, members: dict[str, Any]) -> str:
    """One cell: whether unary answer and stream give back what was put in."""
    answer = ChatAnswer(**{"id": "id1", "model": "m", "finish": "stop", "usage": Usage(input=10, output=3), **members})
    back = dialect.decode_answer(dialect.encode_answer(answer, "m", 1))
    if isinstance(back, Fault):
        return "–"
    return "yes" if _essence(back, members) == _essence(answer, members) else "–"


def _essence(answer: ChatAnswer, members: dict[str, Any]) -> object:
    """What a row is about; ids and provider's own raw forms aside."""
    parts = tuple(
        msgspec.structs.replace(
            part, citations=tuple(msgspec.structs.replace(each, dialect="", raw=b"", quote="", start=-1, end=-1) for each in part.citations)
        )
        if isinstance(part, Text)
        else part
        for part in answer.parts
    )
    found: dict[str, object] = {"parts": parts}
    for name in members:
        found.setdefault(name, getattr(answer, name))
    return found


def said_finish(dialect: Dialect, finish: Finish) -> str:
    """One cell: what is read back."""
    parts: tuple[Part, ...] = (CALL,) if finish == "tool_calls" else (Text("a"),)
    answer = ChatAnswer("id1", "m", parts, finish, Usage(input=1, output=1), stop_sequence="END" if finish == "stop_sequence" else None)
    back = dialect.decode_answer(dialect.encode_answer(answer, "m", 1))
    if isinstance(back, Fault):
        return "–"
    return "yes" if back.finish == finish else back.finish


def table(title: str, names: list[DialectName], rows: list[list[str]]) -> Iterator[str]:
    yield f"| {title} | " + " | ".join(TITLES[name] for name in names) + " |"
    yield "|---" * (len(names) + 1) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def render() -> str:
    """The tables, between their marks."""
    names = list(DIALECTS)
    notes = Notes()
    requests = [[title, *(said_request(name, members, notes) for name in names)] for title, members in REQUESTS.items()]
    answers = [[title, *(said_answer(DIALECTS[name], members) for name in names)] for title, members in ANSWERS.items()]
    finishes = [[f"`{finish}`", *(said_finish(DIALECTS[name], finish) for name in names)] for finish in FINISHES]
    lines = [
        BEGIN,
        "",
        "**What a request can ask of an upstream.** *yes*: said in full. *named*: the request goes through, and the header",
        "`x-setpoint-untranslated` says what was lost or changed. *refused*: `unsupported`, and another target of the route may take it.",
        "",
        *table("request", names, requests),
        *notes.lines(),
        "",
        "**What a client gets to see of an answer**, written in its dialect and read back. –: the dialect has no place for it.",
        "",
        *table("answer", names, answers),
        "**Why an answer ended**, as each dialect reads back what it wrote.",
        "",
        *table("finish", names, finishes),
        END,
    ]
    return "\n".join(lines)


def rewritten(page: str) -> str:
    """`page` with the tables as they are now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + render() + after


def main() -> int:
    page = PAGE.read_text()
    fresh = rewritten(page)
    if "--check" in sys.argv:
        if fresh != page:
            print("docs/dialects.md is not what the code does; run tools/dialect_table.py", file=sys.stderr)
        return int(fresh != page)
    PAGE.write_text(fresh)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
