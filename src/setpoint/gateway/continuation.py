"""A stream that broke off in the middle of its text, continued by another call. Only on routes that say `continuation: auto`.

Such a route's streams always go through a decoder and a renderer, also between equal dialects, so that what follows the break has the
ids and numbers of what came before it. How the next model is made to go on, by what it can do:

    prefill     the text so far is the beginning of its answer      Claude (but for the newest), DeepSeek, Mistral, Moonshot, ...;
                                                                    of a completion it is the end of the prompt
    user turn   the text so far is its answer, and the next turn of the user asks for the rest      everybody else
    restart     nothing but thoughts was shown: the same request again

A stream cannot be continued when something was shown that no other call can go on with (a tool call, a signed thought, a citation), or
when the answer has a form of its own (structured output, log-probabilities, several answers): then it ends in an error event, as on any
other route. The first fault stays in the trace as an ATTEMPT record; the client finds a comment in its stream, where its framing has
comments. The tokens of all calls are billed together.
"""

import re
from collections.abc import Iterable
from math import inf
from typing import Literal

from msgspec.structs import replace

from setpoint.domain.capabilities import Capabilities
from setpoint.domain.chat import ChatRequest, Message, Text
from setpoint.domain.faults import Fault
from setpoint.domain.plan import DialectName
from setpoint.domain.stream import (
    Finished,
    Started,
    StreamEvent,
    TextDelta,
    TextEnded,
    ThinkingDelta,
    UsageReported,
)
from setpoint.domain.usage import BYTES_PER_TOKEN, Usage
from setpoint.gateway.relay import Relay
from setpoint.gateway.seam import WINDOW_CHARS, repeated, repeated_space, undecided
from setpoint.wire.dialect import StreamRenderer

TEXT_BYTES_MAX = 1_048_576
"""A longer text is not sent back to be continued."""
GO_ON = (
    "Your answer was cut off in transmission. Continue it exactly where it stopped: write only what comes next, beginning with a space "
    "or a new line if one belongs there. Repeat nothing, and do not comment on this."
)
_NO_PREFILL = re.compile(r"claude-(?:mythos|(?:opus|sonnet|haiku)-(?:4-[6-9]|4-\d\d(?!\d)|[5-9](?!\d)|\d\d(?!\d)))")
"""Claude models from 4.6 on refuse a last turn of the assistant (https://docs.claude.com/en/docs/about-claude/models/whats-new)."""

_STORED = frozenset({"previous_response_id", "conversation", "background"})
"""Members of a Responses request that only the provider of the first call can do something with."""

Mode = Literal["prefill", "user turn", "restart"]


class Continuation:
    """What the client was told of one stream, and what its calls used so far."""

    __slots__ = (
        "_bytes", "_held", "_mode", "_parts", "_said_bytes", "calls", "cost_nanousd", "fault", "obstacle", "relay", "renderer", "until_s",
        "usage",
    )  # fmt: skip

    def __init__(self, renderer: StreamRenderer) -> None:
        self.renderer = renderer
        self.relay: Relay | None = None
        """The way to the client."""
        self._parts: list[str] = []
        self._bytes = 0
        self._said_bytes = 0
        self._mode: Mode | None = None
        self._held = ""
        self.obstacle = ""
        """Why it cannot be continued."""
        self.fault: Fault | None = None
        """Why it broke off last."""
        self.calls = 0
        """How many calls broke off."""
        self.usage: Usage | None = None
        """Of the calls that broke off, with their cost, -1 when that is unknown."""
        self.cost_nanousd = 0
        self.until_s = inf
        """When the stream must be over, by the deadline that it began with."""

    @property
    def text(self) -> str:
        """The text that was shown."""
        return "".join(self._parts)

    @property
    def tokens(self) -> int:
        """What the present call has said, estimated by its length."""
        return -(-self._said_bytes // BYTES_PER_TOKEN)

    @property
    def mode(self) -> str:
        """How the present call was made to go on."""
        return self._mode or ""

    def broke_off(self, fault: Fault, usage: Usage | None, cost_nanousd: int, until_s: float, relay: Relay) -> None:
        """A call ended early; `usage` and cost are those of all calls so far."""
        self.fault = fault
        self.relay = relay
        self.calls += 1
        self.usage = usage
        self.cost_nanousd = cost_nanousd
        self.until_s = until_s
        self._said_bytes = 0
        self._held = ""

    def goes_on(self, mode: Mode) -> None:
        """Another call begins."""
        self._mode = mode

    def hear(self, event: StreamEvent) -> Iterable[StreamEvent]:
        """An event of the present call; returns what the client is told."""
        shown = (event,) if self._mode is None else self._trimmed(event)
        for each in shown:
            self._note(each)
        return shown

    def _note(self, event: StreamEvent) -> None:
        if isinstance(event, TextDelta):
            size = len(event.text.encode("utf-8", "replace"))
            self._said_bytes += size
            self._bytes += size
            self._parts.append(event.text)
            if event.signature:
                self.obstacle = "a part of its text is signed"
            elif self._bytes > TEXT_BYTES_MAX:
                self.obstacle = "its text is too long"
        elif isinstance(event, ThinkingDelta):
            self._said_bytes += len(event.text.encode("utf-8", "replace"))
            if event.signature or event.redacted:
                self.obstacle = "its thoughts are signed"
        elif not isinstance(event, Started | TextEnded | UsageReported | Finished):
            self.obstacle = f"it has more than text ({type(event).__name__})"

    # ---- the seam

    def _trimmed(self, event: StreamEvent) -> tuple[StreamEvent, ...]:
        if isinstance(event, Started) or (isinstance(event, ThinkingDelta) and self._bytes):
            return ()  # the client has its beginning already, and thoughts about how to go on are none of the answer
        if isinstance(event, UsageReported):
            return (UsageReported(event.usage if self.usage is None else total(self.usage, event.usage)),)
        if self._mode == "restart":
            return (event,)
        if isinstance(event, TextDelta):
            self._held += event.text
            if self._is_undecided() and not event.signature:
                return ()
            return (*self._release(), replace(event, text="")) if event.signature else self._release()
        return (*self._release(), event)

    def _is_undecided(self) -> bool:
        return undecided(self._tail, self._held) if self._mode == "user turn" else not self._held.strip() and len(self._held) < WINDOW_CHARS

    def _release(self) -> tuple[StreamEvent, ...]:
        """The seam is past: what of the held text is new, and from now on everything."""
        held, self._held = self._held, ""
        cut = (repeated if self._mode == "user turn" else repeated_space)(self._tail, held)
        self._mode = "restart"
        return (TextDelta(held[cut:]),) if held[cut:] else ()

    @property
    def _tail(self) -> str:
        return self.text[-WINDOW_CHARS:]


def obstacle_of(request: ChatRequest) -> str:
    """Why no answer to this request can be continued; empty when it can."""
    if request.response_format is not None:
        return "its form is structured"
    if request.n > 1:
        return "there are several answers"
    if request.logprobs:
        return "log-probabilities were asked for"
    if request.tool_choice is not None and request.tool_choice.mode in {"required", "named"}:
        return "a tool call was asked for"
    if not _STORED.isdisjoint(request.extras):
        return "it builds on what its provider keeps"
    return ""


def mode_for(request: ChatRequest, text: str, dialect: DialectName, model: str, can: Capabilities) -> Mode:
    """How a model is made to go on."""
    if not text.strip():
        return "restart"
    if dialect == "openai_completions":
        return "prefill"
    thinks = request.reasoning is not None and request.reasoning.mode != "disabled"
    if dialect == "openai_chat":
        return "user turn" if can.prefill == "no" else "prefill"
    claude = dialect == "anthropic" or (dialect == "bedrock_converse" and "claude" in model)
    return "prefill" if claude and not thinks and _NO_PREFILL.search(model) is None else "user turn"


def continued_request(request: ChatRequest, text: str, mode: Mode, dialect: DialectName = "openai_chat") -> ChatRequest:
    """What is asked to get the rest of an answer that begins with `text`. A limit of tokens counts for the whole answer."""
    if mode == "restart":
        return request
    said = text.rstrip() if mode == "prefill" else text
    messages = request.messages
    if dialect == "openai_completions" and messages:
        messages = (*messages[:-1], replace(messages[-1], parts=(*messages[-1].parts, Text(text))))
    elif messages and messages[-1].role == "assistant" and messages[-1].parts and isinstance(last := messages[-1].parts[-1], Text):
        begun = (*messages[-1].parts[:-1], replace(last, text=last.text + said))
        messages = (*messages[:-1], replace(messages[-1], parts=begun))
    else:
        messages = (*messages, Message("assistant", (Text(said),)))
    if mode == "user turn":
        messages = (*messages, Message("user", (Text(GO_ON),)))
    used = len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN
    limit = None if request.max_tokens is None else max(1, request.max_tokens - used)
    return replace(request, messages=messages, max_tokens=limit)


def total(first: Usage, second: Usage) -> Usage:
    """What two calls used together."""
    counts = {name: getattr(first, name) + getattr(second, name) for name in Usage.__struct_fields__ if name != "estimated"}
    return Usage(**counts, estimated=first.estimated or second.estimated)
