"""A Responses request for an upstream, from nouns to bytes, with a list of what got lost.

Nothing is kept at the provider (`store: false`): the conversation is the client's. What the model thought comes back encrypted instead, so
that the next request can show it again.
"""

import msgspec

from setpoint.domain.chat import ChatRequest, ResponseFormat, Text, Tool
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import bad_body, loss_names, unsupported, wrong
from setpoint.wire.dialect import Encoded
from setpoint.wire.openai_responses import custom_tools
from setpoint.wire.openai_responses.input_out import InputWriter
from setpoint.wire.openai_responses.model_facts import (
    MAX_OUTPUT_TOKENS_MIN,
    is_openai_reasoning,
    may_skip_reasoning,
    signs_reasoning,
    takes_max_effort,
    takes_reasoning,
)
from setpoint.wire.openai_responses.request_in import LOGPROBS, SIGNATURES
from setpoint.wire.openai_responses.schema import admits_strict
from setpoint.wire.openai_responses.words import NAME, service_tier

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
Json = dict[str, object]

_EFFORT_BY_BUDGET = ((2_048, "low"), (8_192, "medium"))
"""A budget of thinking tokens in words: up to the number; anything above is "high"."""

_NO_ARGUMENTS = msgspec.Raw(b'{"type":"object","properties":{}}')

_SHARED_WITH_CHAT = {
    "metadata": msgspec.json.Decoder(dict[str, str]).decode,
    "prompt_cache_key": msgspec.json.Decoder(str).decode,
    "prompt_cache_retention": msgspec.json.Decoder(str).decode,
    "safety_identifier": msgspec.json.Decoder(str).decode,
}
"""Members that OpenAI's two chat APIs share in name, meaning and shape; they are carried as they are."""


def encode_request(request: ChatRequest, model: str, stream: bool) -> Encoded | Fault:
    try:
        return _RequestWriter(request, model, stream).write()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # A schema is carried unread until a dialect has to look into it.
        return bad_body(error)


class _RequestWriter:
    """One request on its way out. `losses` is a dict because it keeps order and drops repeats."""

    __slots__ = ("fault", "losses", "model", "request", "stream")

    def __init__(self, request: ChatRequest, model: str, stream: bool) -> None:
        self.request = request
        self.model = model
        self.stream = stream
        self.losses: dict[str, None] = {}
        self.fault: Fault | None = None

    def lose(self, what: str) -> None:
        self.losses[what] = None

    def refuse(self, param: str, message: str) -> None:
        self.fault = self.fault or unsupported(param, message)

    def write(self) -> Encoded | Fault:
        request = self.request
        if request.n != 1:
            return unsupported("n", "this provider gives one answer a request; leave out n or set it to 1.")
        body: Json = {"model": self.model}
        self.conversation(body)
        self.limits(body)
        self.sampling(body)
        self.tools(body)
        self.text(body)
        self.reasoning(body)
        self.include(body)
        self.rest(body)
        return self.fault or Encoded(_encode(body), tuple(self.losses))

    def conversation(self, body: Json) -> None:
        """The first text is `instructions`; further ones, and those with a cache mark, are messages ahead of the turns."""
        texts = tuple(text for text in self.request.system if text.text)
        rest: tuple[Text, ...] = texts
        if texts and all(text.cache is None for text in texts):
            body["instructions"] = texts[0].text
            rest = texts[1:]
        items = InputWriter(self).write(rest, self.request.messages)
        if not items and not texts:
            self.fault = self.fault or wrong("messages", "no message has content.")
        body["input"] = items

    def limits(self, body: Json) -> None:
        request = self.request
        if request.max_tokens is not None:
            if request.max_tokens < MAX_OUTPUT_TOKENS_MIN:
                self.lose(f"max_tokens (raised to {MAX_OUTPUT_TOKENS_MIN})")
            body["max_output_tokens"] = max(request.max_tokens, MAX_OUTPUT_TOKENS_MIN)
        if request.stop:
            self.lose("stop")

    def sampling(self, body: Json) -> None:
        given = self.request.sampling
        for name in ("top_k", "seed"):
            if getattr(given, name) is not None:
                self.lose(name)
        for name in ("frequency_penalty", "presence_penalty"):
            if getattr(given, name):
                self.lose(name)
        for name in ("temperature", "top_p"):
            value: float | None = getattr(given, name)
            if value is None:
                continue
            if not is_openai_reasoning(self.model):
                body[name] = value
            elif value != 1:
                self.lose(name)

    # ---------------------------------------------------------------- tools

    def tools(self, body: Json) -> None:
        request = self.request
        tools = [made for tool in request.tools if (made := self.tool(tool)) is not None]
        if not tools:
            return
        body["tools"] = tools
        if request.tool_choice is not None:
            body["tool_choice"] = self.tool_choice()
        if request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.parallel_tool_calls

    def tool_choice(self) -> object:
        choice = self.request.tool_choice
        if choice is None or choice.mode != "named":
            return choice and choice.mode
        custom = any(tool.name == choice.name and tool.schema == custom_tools.SCHEMA for tool in self.request.tools)
        return {"type": "custom" if custom else "function", "name": choice.name}

    def tool(self, tool: Tool) -> Json | msgspec.Raw | None:
        if tool.cache is not None:
            self.lose("cache_control")
        if tool.dialect == NAME and tool.raw:
            return msgspec.Raw(tool.raw)
        if tool.foreign is not None:
            self.lose(f"tool {tool.foreign} (runs at its own provider only)")
            return None
        made: Json = {"type": "function", "name": tool.name}
        if tool.description is not None:
            made["description"] = tool.description
        made["parameters"] = _NO_ARGUMENTS if tool.schema is None else msgspec.Raw(tool.schema)
        made["strict"] = bool(tool.strict) and self.may_be_strict(tool.schema)
        return made

    def may_be_strict(self, schema: bytes | None) -> bool:
        if schema is not None and admits_strict(_decode(schema)):
            return True
        self.lose("tools.strict (the schema leaves something open)")
        return False

    # ---------------------------------------------------------------- the form of the answer

    def text(self, body: Json) -> None:
        config: Json = {}
        if self.request.response_format is not None:
            config["format"] = _format(self.request.response_format)
        if self.request.verbosity is not None:
            config["verbosity"] = self.request.verbosity
        if config:
            body["text"] = config

    def reasoning(self, body: Json) -> None:
        given = self.request.reasoning
        if given is None:
            return
        if given.mode == "disabled":
            if may_skip_reasoning(self.model):
                body["reasoning"] = {"effort": "none"}
            elif is_openai_reasoning(self.model):
                self.lose("reasoning (this model always thinks)")
            return
        if not takes_reasoning(self.model):
            self.lose("reasoning")
            return
        made: Json = {}
        effort = given.effort or _effort(given.budget_tokens)
        if effort is not None:
            made["effort"] = "xhigh" if effort == "max" and not takes_max_effort(self.model) else effort
        if given.show:
            made["summary"] = "auto"
        if made:
            body["reasoning"] = made

    def include(self, body: Json) -> None:
        """Signatures come only when asked for. Log-probs too; reasoning models have none."""
        include = [SIGNATURES] if signs_reasoning(self.model) else []
        request = self.request
        if request.logprobs or request.top_logprobs:
            if is_openai_reasoning(self.model):
                self.lose("logprobs")
            else:
                include.append(LOGPROBS)
                if request.top_logprobs:
                    body["top_logprobs"] = request.top_logprobs
        if include:
            body["include"] = include

    def rest(self, body: Json) -> None:
        request = self.request
        if request.user is not None:
            body["user"] = request.user
        if request.service_tier is not None:
            tier = service_tier(request.service_tier)
            if tier is None:
                self.lose("service_tier")
            else:
                body["service_tier"] = tier
        body["store"] = False
        if self.stream:
            body["stream"] = True
        left = {name: raw for name, raw in request.extras.items() if not _carry(name, raw, body)}
        for name in loss_names(left):
            self.lose(name)


def _carry(name: str, raw: bytes, body: Json) -> bool:
    """Whether a member nobody knew could be put in as it is."""
    reads = _SHARED_WITH_CHAT.get(name)
    if reads is None:
        return False
    try:
        reads(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    body[name] = msgspec.Raw(raw)
    return True


def _effort(budget_tokens: int | None) -> str | None:
    if budget_tokens is None:
        return None
    return next((effort for most, effort in _EFFORT_BY_BUDGET if budget_tokens <= most), "high")


def _format(given: ResponseFormat) -> Json:
    if given.kind == "json_object":
        return {"type": "json_object"}
    made: Json = {"type": "json_schema", "name": given.name or "answer", "schema": msgspec.Raw(given.schema or b"{}")}
    if given.description is not None:
        made["description"] = given.description
    made["strict"] = admits_strict(_decode(given.schema or b"{}")) if given.strict is None else given.strict
    return made
