"""Requests, answers and streams as hypothesis makes them up: all that the neutral nouns can hold and some dialect can say."""

import base64
import json
from typing import Any

from hypothesis import strategies as st

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
from setpoint.domain.stream import (
    Cited,
    Finished,
    LogprobsReported,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    TextEnded,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from setpoint.domain.usage import Usage

ODD = (
    "\x00",
    "\x1f",
    "\x7f",
    "\u2028",
    "\u2029",
    "\ufeff",
    "\ufffe",
    "\r\n\r\n",
    "\n\n",
    "data: [DONE]\n\n",
    "event: error\n",
    '"}]}',
    "\\u0000",
    "\\",
    '"',
    "</script>",
    "e\u0301",
    "👩‍👩‍👧",
    "𝔘𐍈",
    "ü€😀",
    "\u202e",
)
"""What breaks naive writers: controls, line ends, marks of the streams themselves, quotes, characters of two to four bytes."""

texts = st.one_of(
    st.sampled_from(ODD),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.lists(st.sampled_from([*ODD, "a", " ", "word "]), max_size=5).map("".join),
)
said = texts.filter(lambda text: bool(text.strip()))
"""A text that says something: dialects may leave out those that do not."""
maybe_empty = st.one_of(st.just(""), texts)

names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_-]{0,15}", fullmatch=True)
ids = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_-]{4,15}", fullmatch=True)
base64_texts = st.binary(min_size=1, max_size=12).map(lambda raw: base64.b64encode(raw).decode())
numbers = st.one_of(
    st.booleans(), st.none(), st.integers(-(2**53), 2**53), st.floats(-1e9, 1e9, allow_nan=False).filter(lambda x: x != int(x))
)
members = st.one_of(names, texts)
json_values = st.recursive(
    st.one_of(numbers, texts), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=3), max_leaves=6
)
objects = st.dictionaries(members, json_values, max_size=4)


def written(value: Any, indent: int | None, ascii_only: bool) -> str:
    """As models write it: on one line or several, escaped or not."""
    return json.dumps(value, ensure_ascii=ascii_only, indent=indent, separators=(", ", ": ") if ascii_only else (",", ":"))


arguments = st.one_of(st.just("{}"), st.builds(written, objects, st.sampled_from([None, None, 2]), st.booleans()))

# ---------------------------------------------------------------------------------------------------------------- answers

signatures = st.one_of(
    st.just(""),
    base64_texts.map("anthropic:{}".format),
    base64_texts.map("gemini:{}".format),
    st.builds("openai_responses:rs_{}:{}".format, ids, base64_texts),
)
"""As decoders mark them; those of Responses hold the id of their item."""
counts = st.one_of(st.just(0), st.integers(0, 100_000))
usages = st.builds(Usage, input=counts, cached_read=counts, cache_write=counts, output=counts, reasoning=counts)
finishes: st.SearchStrategy[Finish] = st.sampled_from(
    ["stop", "stop_sequence", "length", "tool_calls", "content_filter", "refusal", "pause", "unknown"]
)
logs = st.floats(-20, 0, allow_nan=False).map(lambda x: round(x, 6))
tokens_of = st.builds(lambda text, log: TokenLogprob(text, log, text.encode()), said, logs)
tops = st.lists(tokens_of, max_size=2, unique_by=lambda one: one.token).map(tuple)
logprobs = st.lists(
    st.builds(lambda one, top: TokenLogprob(one.token, one.logprob, one.utf8, top), tokens_of, tops),
    max_size=3,
).map(tuple)
thoughts = st.one_of(st.builds(Thinking, said, signatures), st.builds(lambda raw: Thinking("", redacted=f"anthropic:{raw}"), base64_texts))


@st.composite
def cited_texts(draw: st.DrawFn) -> Text:
    """Citations stand in order and inside their text."""
    text = draw(said)
    if draw(st.integers(0, 3)):
        return Text(text)
    end = draw(st.integers(1, len(text)))
    start = draw(st.integers(0, end - 1))
    citation = Citation(url="https://x.test/" + draw(names), title=draw(said), quote=draw(texts), start=start, end=end)
    return Text(text, citations=(citation,))


@st.composite
def calls(draw: st.DrawFn) -> tuple[ToolCall, ...]:
    """Parallel calls, each with an id of its own."""
    own = draw(st.lists(ids, max_size=4, unique=True))
    return tuple(ToolCall(call_id, draw(names), draw(arguments)) for call_id in own)


@st.composite
def answers(draw: st.DrawFn) -> ChatAnswer:
    """In the order models answer in: thoughts, texts, calls. With calls the model stopped for them, as a rule."""
    parts: list[Part] = [*draw(st.lists(thoughts, max_size=2)), *draw(st.lists(cited_texts(), max_size=3))]
    refused = draw(st.integers(0, 9)) == 0
    called = () if refused else draw(calls())
    if refused:
        parts = [Refusal(draw(said))]
    finish: Finish = draw(st.sampled_from(["stop", "refusal"])) if refused else "tool_calls" if called else draw(finishes)
    if finish == "tool_calls" and not called:
        finish = "stop"
    return ChatAnswer(
        "id-" + draw(ids),
        draw(names),
        (*parts, *called),
        finish,
        draw(usages),
        draw(said) if finish == "stop_sequence" else None,
        draw(st.integers(1, 2**31)),
        draw(logprobs) if any(isinstance(part, Text) for part in parts) else (),
    )


# ---------------------------------------------------------------------------------------------------------------- streams


@st.composite
def pieces(draw: st.DrawFn, text: str) -> list[str]:
    """A text cut between characters; a piece may be empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def streams(draw: st.DrawFn, answer: ChatAnswer) -> list[StreamEvent]:
    """The answer as events. The arguments of parallel calls may come interleaved; usage may come several times, the last is whole."""
    events: list[StreamEvent] = [Started(answer.id, answer.model, answer.created_s)]
    called = [part for part in answer.parts if isinstance(part, ToolCall)]
    last_text = next((part for part in reversed(answer.parts) if isinstance(part, Text)), None)
    usage = answer.usage or Usage()
    if draw(st.booleans()):
        events.append(UsageReported(Usage(input=usage.input, cached_read=usage.cached_read, cache_write=usage.cache_write)))
    for part in answer.parts:
        if isinstance(part, Text):
            events += [TextDelta(piece) for piece in draw(pieces(part.text))]
            if part is last_text and answer.logprobs:
                events.append(LogprobsReported(answer.logprobs))
            events += [Cited(citation) for citation in part.citations]
            events.append(TextEnded())
        elif isinstance(part, Thinking) and part.redacted:
            events.append(ThinkingDelta(redacted=part.redacted))
        elif isinstance(part, Thinking):
            events += [ThinkingDelta(piece) for piece in draw(pieces(part.text))]
            events.append(ThinkingDelta(signature=part.signature))
        elif isinstance(part, Refusal):
            events += [RefusalDelta(piece) for piece in draw(pieces(part.text))]
    events += draw(_called(called))
    return [*events, UsageReported(usage), Finished(answer.finish, answer.stop_sequence)]


@st.composite
def _called(draw: st.DrawFn, called: list[ToolCall]) -> list[StreamEvent]:
    """Each call starts before its own deltas; nothing else is promised when calls are parallel."""
    lanes: list[list[StreamEvent]] = [
        [ToolCallStarted(no, call.id, call.name), *(ToolCallDelta(no, piece) for piece in draw(pieces(call.arguments)))]
        for no, call in enumerate(called)
    ]
    if not draw(st.booleans()):
        return [event for lane in lanes for event in lane]
    merged: list[StreamEvent] = []
    started = 0
    while any(lanes):
        no = draw(st.sampled_from([no for no, lane in enumerate(lanes) if lane and no <= started]))
        started = max(started, no + 1)
        merged.append(lanes[no].pop(0))
    return merged


@st.composite
def cuts(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    at = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[start:end] for start, end in zip([0, *at], [*at, len(stream)], strict=True)]


# ---------------------------------------------------------------------------------------------------------------- requests

marks = st.one_of(st.none(), st.none(), st.just(CacheMark()), st.just(CacheMark("1h")))
urls = names.map("https://x.test/{}.png".format)
images = st.one_of(
    st.builds(
        lambda data, kind, mark: Image(data=data, media_type=kind, cache=mark),
        base64_texts,
        st.sampled_from(["image/png", "image/jpeg"]),
        marks,
    ),
    st.builds(lambda url, detail: Image(url=url, detail=detail), urls, st.sampled_from([None, "low", "high"])),
)
maybe_names = st.one_of(st.none(), names)
documents = st.one_of(
    st.builds(lambda name, data, mark: Document(name, data, "application/pdf", cache=mark), maybe_names, base64_texts, marks),
    st.builds(lambda name, text: Document(name, text=text), maybe_names, said),
)
audio = st.builds(Audio, base64_texts, st.sampled_from(["wav", "mp3"]))
system_texts = st.builds(Text, said, marks)
user_parts = st.one_of(st.builds(Text, said, marks), st.builds(Text, said), images, documents)
property_schemas = st.sampled_from(
    [{"type": "string"}, {"type": "integer", "minimum": 1}, {"type": "array", "items": {"type": "number"}}, {"enum": ["a", "b"]}]
)


def object_schema(properties: dict[str, Any]) -> bytes:
    made = {"type": "object", "properties": properties, "required": sorted(properties), "additionalProperties": False}
    return json.dumps(made).encode()


schemas = st.dictionaries(names, property_schemas, min_size=1, max_size=3).map(object_schema)


formats = st.one_of(
    st.just(ResponseFormat("json_object")),
    st.builds(lambda schema, name: ResponseFormat("json_schema", schema, name, None, True), schemas, names),
)
reasonings = st.sampled_from(
    [Reasoning("enabled", "low"), Reasoning("enabled", "high"), Reasoning("enabled", None, 1_500), Reasoning("disabled")]
)


@st.composite
def tools(draw: st.DrawFn) -> tuple[Tool, ...]:
    own = draw(st.lists(names, max_size=3, unique=True))
    return tuple(
        Tool(name, draw(st.one_of(st.none(), said)), draw(schemas), draw(st.sampled_from([None, None, True, False])), draw(marks))
        for name in own
    )


@st.composite
def turns(draw: st.DrawFn, declared: tuple[Tool, ...]) -> tuple[Message, ...]:
    """A conversation as it can have been: the user begins, calls are answered before anything else, the model has never the last word."""
    messages = [Message("user", tuple(draw(st.lists(user_parts, min_size=1, max_size=3))))]
    for _ in range(draw(st.integers(0, 2))):
        spoken: list[Part] = [*draw(st.lists(thoughts, max_size=1)), *draw(st.lists(st.builds(Text, said), max_size=1))]
        called = [
            ToolCall(call_id, draw(st.sampled_from(declared)).name, draw(arguments))
            for call_id in (draw(st.lists(ids, max_size=3, unique=True)) if declared else [])
        ]
        if not called and not any(isinstance(part, Text) for part in spoken):
            spoken.append(Text(draw(said)))
        messages.append(Message("assistant", (*spoken, *called)))
        if called:
            messages.append(Message("tool", tuple(draw(results(call.id)) for call in called)))
        if not called or draw(st.booleans()):
            messages.append(Message("user", tuple(draw(st.lists(user_parts, min_size=1, max_size=2)))))
    return _with_own_ids(messages)


def _with_own_ids(messages: list[Message]) -> tuple[Message, ...]:
    """Ids of calls are used once in a conversation."""
    made = []
    for turn, message in enumerate(messages):
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, ToolCall):
                parts.append(ToolCall(f"{part.id}{turn}", part.name, part.arguments))
            elif isinstance(part, ToolResult):
                parts.append(ToolResult(f"{part.call_id}{turn - 1}", part.parts, part.is_error, part.cache))
            else:
                parts.append(part)
        made.append(Message(message.role, tuple(parts), message.name))
    return tuple(made)


def results(call_id: str) -> st.SearchStrategy[ToolResult]:
    one_text = st.builds(Text, said).map(lambda text: (text,))
    with_image = st.builds(lambda text, image: (text, image), st.builds(Text, said), images)
    return st.builds(ToolResult, st.just(call_id), st.one_of(one_text, one_text, with_image), st.sampled_from([False, False, True]), marks)


@st.composite
def requests(draw: st.DrawFn) -> ChatRequest:
    """A request with a few of all the settings there are; each is absent as a rule, so that a refusal of one hides no other."""
    declared = draw(tools())

    def rarely(strategy: st.SearchStrategy[Any], otherwise: Any = None) -> Any:
        return draw(strategy) if draw(st.integers(0, 4)) == 0 else otherwise

    choices = [ToolChoice("auto"), ToolChoice("none"), ToolChoice("required"), *(ToolChoice("named", tool.name) for tool in declared)]
    asked_logprobs = rarely(st.just(True), False)
    return ChatRequest(
        model="m",
        messages=draw(turns(declared)),
        system=tuple(draw(st.lists(system_texts, max_size=2))),
        tools=declared,
        tool_choice=rarely(st.sampled_from(choices)) if declared else None,
        parallel_tool_calls=rarely(st.booleans()) if declared else None,
        sampling=Sampling(
            rarely(st.sampled_from([0.0, 0.5, 1.0])),
            rarely(st.sampled_from([0.25, 0.5])),
            rarely(st.integers(1, 100)),
            rarely(st.sampled_from([0.5, 1.0])),
            rarely(st.sampled_from([0.5, 1.0])),
            rarely(st.integers(0, 2**31 - 1)),
        ),
        max_tokens=rarely(st.integers(2_000, 4_000)),
        stop=tuple(rarely(st.lists(names, min_size=1, max_size=4, unique=True), ())),
        response_format=rarely(formats),
        reasoning=rarely(reasonings),
        user=rarely(ids),
        logprobs=asked_logprobs,
        top_logprobs=rarely(st.integers(1, 5)) if asked_logprobs else None,
        service_tier=rarely(st.sampled_from(["auto", "default"])),
        verbosity=rarely(st.sampled_from(["low", "high"])),
    )
