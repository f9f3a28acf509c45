"""A conversation with a model: what is asked and what is answered, in no provider's words.

The nouns are wide enough for every dialect and belong to none. A dialect that cannot say something says so when it encodes; nothing is
dropped in silence. JSON that Setpoint only carries (schemas, unknown members) stays raw.

Canonical form, which every decoder produces:
  - instructions before the first turn are `system`; later ones stay where they are, as messages of role `system`;
  - results of tools are messages of role `tool`, one message for all results in a row;
  - what else a user says with them follows as a message of role `user`.
"""

from typing import Literal

import msgspec

from setpoint.domain.usage import Usage

Speaker = Literal["user", "assistant", "tool", "system"]

Finish = Literal["stop", "stop_sequence", "length", "tool_calls", "content_filter", "refusal", "pause", "unknown"]
"""stop: the model was done. length: a token limit. pause: the provider wants the same turn continued. unknown: it gave no reason."""


class CacheMark(msgspec.Struct, frozen=True, gc=False):
    """The prompt up to here is worth keeping at the provider. `ttl` in the provider's words, such as "5m"."""

    ttl: str | None = None


class Citation(msgspec.Struct, frozen=True, gc=False):
    """What a passage of an answer rests on.

    `start` and `end` count characters of the text it stands with, -1 when the provider does not say where. `quote` is what the source
    says, `url` and `title` name it; `document` is its number among the documents of the prompt, -1 when it is not one of them. `raw` is
    the object as the provider's own dialect, named in `dialect`, wrote it: that dialect says it again unchanged.
    """

    url: str = ""
    title: str = ""
    quote: str = ""
    start: int = -1
    end: int = -1
    document: int = -1
    file_id: str = ""
    dialect: str = ""
    raw: bytes = b""


class Text(msgspec.Struct, frozen=True, gc=False, tag="text"):
    """`signature`: Gemini proves thinking with one that may stand at any part of an answer."""

    text: str
    cache: CacheMark | None = None
    citations: tuple[Citation, ...] = ()
    signature: str = ""


class Image(msgspec.Struct, frozen=True, gc=False, tag="image"):
    """Either `url`, or `data` in base64 with its `media_type`, or a `file_id` at the provider."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    file_id: str | None = None
    detail: str | None = None
    cache: CacheMark | None = None


class Document(msgspec.Struct, frozen=True, gc=False, tag="document"):
    """A file: `data` in base64 with its `media_type`, plain `text`, a `url`, or a `file_id` at the provider."""

    name: str | None = None
    data: str | None = None
    media_type: str | None = None
    text: str | None = None
    url: str | None = None
    file_id: str | None = None
    cache: CacheMark | None = None


class Audio(msgspec.Struct, frozen=True, gc=False, tag="audio"):
    """`data` in base64; `format` is wav or mp3."""

    data: str
    format: str


class ToolCall(msgspec.Struct, frozen=True, gc=False, tag="tool_call"):
    """`arguments` is JSON text as the model wrote it: it may be empty, or no valid JSON. `signature` as in `Text`."""

    id: str
    name: str
    arguments: str
    cache: CacheMark | None = None
    signature: str = ""


class ToolResult(msgspec.Struct, frozen=True, gc=False, tag="tool_result"):
    call_id: str
    parts: "tuple[Text | Image | Document | Foreign, ...]"
    is_error: bool = False
    cache: CacheMark | None = None


class Thinking(msgspec.Struct, frozen=True, gc=False, tag="thinking"):
    """`signature` proves to the provider that it wrote the text itself; `redacted` stands for a block without text.

    Both are marked with the dialect they count in, as `wire.signatures` says; so are those of `Text` and `ToolCall`.
    """

    text: str
    signature: str = ""
    redacted: str = ""


class Refusal(msgspec.Struct, frozen=True, gc=False, tag="refusal"):
    text: str


class Foreign(msgspec.Struct, frozen=True, gc=False, tag="foreign"):
    """A part only one provider has, such as the trace of a tool it ran itself. No other dialect can say it.

    `raw` is the part as `dialect` wrote it; that dialect says it again unchanged.
    """

    kind: str
    dialect: str = ""
    raw: bytes = b""


Part = Text | Image | Document | Audio | ToolCall | ToolResult | Thinking | Refusal | Foreign


class Message(msgspec.Struct, frozen=True, gc=False):
    role: Speaker
    parts: tuple[Part, ...]
    name: str | None = None


class Tool(msgspec.Struct, frozen=True, gc=False):
    """A function the model may call. `schema` is JSON Schema of its arguments, raw; None means no arguments.

    `foreign` names a tool the provider runs itself; such a one has nothing else but its `raw` form in `dialect`.
    """

    name: str
    description: str | None = None
    schema: bytes | None = None
    strict: bool | None = None
    cache: CacheMark | None = None
    foreign: str | None = None
    dialect: str = ""
    raw: bytes = b""


class ToolChoice(msgspec.Struct, frozen=True, gc=False):
    """auto: the model decides. none: no calls. required: at least one call. named: a call of `name`."""

    mode: Literal["auto", "none", "required", "named"]
    name: str | None = None


class ResponseFormat(msgspec.Struct, frozen=True, gc=False):
    """json_object: any object. json_schema: one that `schema` (raw JSON Schema) admits."""

    kind: Literal["json_object", "json_schema"]
    schema: bytes | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Reasoning(msgspec.Struct, frozen=True, gc=False):
    """How much the model should think before it answers: in words (`effort`) or tokens. `mode` adaptive leaves it to the model.

    `show`: whether the client wants to see the thoughts, or a summary of them; None leaves it to the provider.
    """

    mode: Literal["enabled", "disabled", "adaptive"] = "enabled"
    effort: str | None = None
    budget_tokens: int | None = None
    show: bool | None = None


class Sampling(msgspec.Struct, frozen=True, gc=False):
    """None leaves the provider's default."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None


class TokenLogprob(msgspec.Struct, frozen=True, gc=False):
    """One token of an answer with the natural logarithm of its probability; `top` holds the likeliest tokens at its place.

    `utf8` are the token's bytes, None when the provider does not give them: a token may be half a character.
    """

    token: str
    logprob: float
    utf8: bytes | None = None
    top: "tuple[TokenLogprob, ...]" = ()


class ChatRequest(msgspec.Struct, frozen=True):
    """One question to a model. `verbosity` is low, medium or high.

    `extras` are members the dialect it came in does not define, or this program does not carry, raw.
    """

    model: str
    messages: tuple[Message, ...]
    system: tuple[Text, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    sampling: Sampling = Sampling()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    response_format: ResponseFormat | None = None
    reasoning: Reasoning | None = None
    user: str | None = None
    n: int = 1
    logprobs: bool = False
    top_logprobs: int | None = None
    service_tier: str | None = None
    verbosity: str | None = None
    stream: bool = False
    include_usage: bool = False
    extras: dict[str, bytes] = {}


class ChatAnswer(msgspec.Struct, frozen=True):
    """`id`, `model` and `service_tier` are the provider's. `created_s` is Unix seconds, 0 when it gave none."""

    id: str
    model: str
    parts: tuple[Part, ...]
    finish: Finish
    usage: Usage | None = None
    stop_sequence: str | None = None
    created_s: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()
    service_tier: str | None = None
