"""A chat request for an OpenAI-like upstream, from nouns to bytes, with a list of what got lost."""

import msgspec

from setpoint.domain.capabilities import STANDARD, Capabilities
from setpoint.domain.chat import ChatRequest, Reasoning, ResponseFormat, Tool, ToolChoice
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import bad_body, loss_names
from setpoint.wire.dialect import Encoded
from setpoint.wire.openai_chat.messages_out import write_messages
from setpoint.wire.openai_chat.model_facts import is_openai_reasoning, may_not_reason, refuses_stop, takes_reasoning_effort
from setpoint.wire.report import Report

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
Json = dict[str, object]

_EFFORT_BY_BUDGET = ((2_048, "low"), (8_192, "medium"))
"""A budget of thinking tokens in words: up to the number; anything above is "high"."""

_EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")
"""From least to most. OpenAI's own end at xhigh."""

_TIERS = {"standard_only": "default", "standard": "default"}

OWN_MEMBERS = (
    "audio",
    "logit_bias",
    "metadata",
    "modalities",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "store",
    "web_search_options",
)
"""Members of OpenAI's own request that no neutral noun carries (https://platform.openai.com/docs/api-reference/chat/create)."""


def encode_request(request: ChatRequest, model: str, stream: bool, can: Capabilities = STANDARD) -> Encoded | Fault:
    try:
        return _RequestWriter(request, model, stream, can).write()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # A schema is carried unread until a dialect has to look into it.
        return bad_body(error)


class _RequestWriter:
    """One request on its way out."""

    __slots__ = ("can", "model", "report", "request", "stream")

    def __init__(self, request: ChatRequest, model: str, stream: bool, can: Capabilities) -> None:
        self.request = request
        self.model = model
        self.stream = stream
        self.can = can
        self.report = Report()

    def write(self) -> Encoded | Fault:
        body: Json = {"model": self.model}
        response_format, words = self.response_format()
        body["messages"] = write_messages(self.request, self.can, self.report, words)
        self.limits(body)
        self.sampling(body)
        self.tools(body)
        if response_format is not None:
            body["response_format"] = response_format
        self.reasoning(body)
        self.rest(body)
        if self.stream:
            body["stream"] = True
            if self.can.stream_usage == "ask":
                body["stream_options"] = {"include_usage": True}
        self.extras(body)
        return self.report.fault or Encoded(_encode(body), tuple(self.report.losses))

    def extras(self, body: Json) -> None:
        known = OWN_MEMBERS if self.can.members is None else self.can.members
        for name, raw in self.request.extras.items():
            if name in known and name not in body:
                body[name] = msgspec.Raw(raw)
            elif name == "thinking.clear_thinking" and self.can.reasoning == "thinking":
                thinking = body.setdefault("thinking", {})
                assert isinstance(thinking, dict)
                thinking["clear_thinking"] = msgspec.Raw(raw)
            else:
                for safe in loss_names({name: raw}):
                    self.report.lose(safe)

    def limits(self, body: Json) -> None:
        request, can = self.request, self.can
        fixed = is_openai_reasoning(self.model)
        if request.max_tokens is not None:
            by_model = "max_completion_tokens" if fixed else "max_tokens"
            body[by_model if can.max_tokens == "by_model" else can.max_tokens] = request.max_tokens
        stops_max = len(request.stop) if can.stops_max is None else can.stops_max
        if request.stop and (refuses_stop(self.model) or not stops_max):
            self.report.lose("stop")
        elif request.stop:
            if len(request.stop) > stops_max:
                self.report.lose(f"stop (only the first {stops_max})")
            body["stop"] = list(request.stop[:stops_max])

    def sampling(self, body: Json) -> None:
        given, can = self.request.sampling, self.can
        if given.top_k is not None:
            self.say("top_k", given.top_k, can.top_k, body)
        if given.seed is not None:
            self.say("seed" if can.seed == "no" else can.seed, given.seed, can.seed != "no", body)
        for name in ("temperature", "top_p", "frequency_penalty", "presence_penalty"):
            value: float | None = getattr(given, name)
            if value is None:
                continue
            penalty = name.endswith("penalty")
            if is_openai_reasoning(self.model):
                if value != (0 if penalty else 1):
                    self.report.lose(name)
            elif not penalty or can.penalties or value:
                self.say(name, value, not penalty or can.penalties, body)

    def say(self, name: str, value: object, can: bool, body: Json) -> None:
        if can:
            body[name] = value
        else:
            self.report.lose(name)

    def tools(self, body: Json) -> None:
        request, can = self.request, self.can
        tools = [made for tool in request.tools if (made := self.tool(tool)) is not None]
        if not tools:
            return
        body["tools"] = tools
        if request.tool_choice is not None:
            self.tool_choice(request.tool_choice, body)
        if request.parallel_tool_calls is not None:
            self.say("parallel_tool_calls", request.parallel_tool_calls, can.parallel_tool_calls, body)

    def tool_choice(self, choice: ToolChoice, body: Json) -> None:
        required = self.can.tool_choice_required
        if choice.mode == "named" and self.can.tool_choice_named:
            kind = "custom" if any(tool.name == choice.name and tool.foreign == "custom" for tool in self.request.tools) else "function"
            body["tool_choice"] = {"type": kind, kind: {"name": choice.name}}
        elif choice.mode in {"named", "required"}:
            if choice.mode == "named":
                self.report.lose("tool_choice (any tool may be called, not only the named one)")
            if required == "no":
                self.report.lose("tool_choice (the model decides whether to call a tool)")
            else:
                body["tool_choice"] = required
        else:
            body["tool_choice"] = choice.mode

    def tool(self, tool: Tool) -> object | None:
        if tool.foreign is not None:
            if tool.dialect == "openai_chat" and tool.raw:
                return msgspec.Raw(tool.raw)
            self.report.lose(f"tool {tool.foreign} (runs at its own provider only)")
            return None
        made: Json = {"name": tool.name}
        if tool.description is not None:
            made["description"] = tool.description
        if tool.schema is not None:
            made["parameters"] = msgspec.Raw(tool.schema)
        if tool.strict is not None and self.can.strict_tools:
            made["strict"] = tool.strict
        elif tool.strict:
            self.report.lose("tools.strict")
        written: Json = {"type": "function", "function": made}
        if tool.cache is not None:
            if self.can.cache_marks == "cache_control":
                written["cache_control"] = {"type": "ephemeral", "ttl": tool.cache.ttl} if tool.cache.ttl else {"type": "ephemeral"}
            else:
                self.report.lose("cache_control")
        return written

    def response_format(self) -> tuple[Json | None, str]:
        """The member, and what the model has to be asked in words beside it."""
        given, can = self.request.response_format, self.can
        if given is None:
            return None, ""
        if given.kind == "json_object":
            if can.structured != "no" and can.json_object:
                return {"type": "json_object"}, ""
            self.report.lose("response_format json_object (asked for in the system prompt)")
            return None, "Answer with one JSON object and nothing else: no prose, no code fence."
        if can.structured == "json_schema":
            return _json_schema(given), ""
        self.report.lose("response_format json_schema (asked for in the system prompt)")
        schema = (given.schema or b"{}").decode("utf-8", "replace")
        words = f"Answer with JSON that satisfies this JSON Schema, and nothing else: no prose, no code fence.\n{schema}"
        return {"type": "json_object"} if can.structured == "json_object" and can.json_object else None, words

    # ---------------------------------------------------------------- thinking

    def reasoning(self, body: Json) -> None:
        given, form = self.request.reasoning, self.can.reasoning
        if given is None:
            return
        if form == "no":
            if given.mode != "disabled":
                self.report.lose("reasoning")
        elif form == "reasoning":
            body["reasoning"] = self.reasoning_object(given)
        elif form == "thinking":
            body["thinking"] = {"type": "disabled" if given.mode == "disabled" else "enabled"}
            if given.effort is not None and given.mode != "disabled":
                self.say("reasoning_effort", self.effort(given.effort) if self.can.efforts else "", bool(self.can.efforts), body)
        elif form == "enable_thinking":
            self.enable_thinking(given, body)
        else:
            self.reasoning_effort(given, body)

    def reasoning_effort(self, given: Reasoning, body: Json) -> None:
        if given.mode == "disabled":
            if may_not_reason(self.model) or "none" in self.can.efforts:
                body["reasoning_effort"] = "none"
            elif is_openai_reasoning(self.model):
                self.report.lose("reasoning (this model always thinks)")
            return
        if not takes_reasoning_effort(self.model):
            self.report.lose("reasoning")
            return
        effort = given.effort or _effort(given.budget_tokens)
        if effort is not None:
            body["reasoning_effort"] = self.effort(effort)

    def effort(self, asked: str) -> str:
        """The nearest word that the vendor takes."""
        known = self.can.efforts or _EFFORTS[:-1]
        if asked in known or asked not in _EFFORTS:
            return asked
        at = _EFFORTS.index(asked)
        nearest = min((word for word in known if word in _EFFORTS), key=lambda word: abs(_EFFORTS.index(word) - at), default=asked)
        if self.can.efforts:
            self.report.lose(f"reasoning_effort ({asked} became {nearest})")
        return nearest

    def reasoning_object(self, given: Reasoning) -> Json:
        made: Json = {}
        if given.mode == "disabled":
            made["effort"] = "none"
        elif given.budget_tokens is not None:
            made["max_tokens"] = given.budget_tokens
        elif given.effort is not None:
            made["effort"] = self.effort(given.effort)
        else:
            made["enabled"] = True
        if given.show is not None:
            made["exclude"] = not given.show
        return made

    def enable_thinking(self, given: Reasoning, body: Json) -> None:
        body["enable_thinking"] = given.mode != "disabled"
        if given.budget_tokens is not None:
            body["thinking_budget"] = given.budget_tokens
        elif given.effort is not None:
            self.report.lose("reasoning_effort")

    # ---------------------------------------------------------------- the rest

    def rest(self, body: Json) -> None:
        request, can = self.request, self.can
        if request.user is not None:
            self.say("user", request.user, can.user, body)
        if request.n != 1:
            if not can.many:
                self.report.refuse("n", "this provider gives one answer a request; leave out n or set it to 1.")
            body["n"] = request.n
        if request.logprobs:
            self.say("logprobs", True, can.logprobs, body)
        if request.top_logprobs is not None:
            self.say("top_logprobs" if can.logprobs else "logprobs", request.top_logprobs, can.logprobs, body)
        if request.service_tier is not None:
            tier = _TIERS.get(request.service_tier, request.service_tier)
            self.say("service_tier", tier, can.service_tiers is None or tier in can.service_tiers, body)
        if request.verbosity is not None:
            self.say("verbosity", request.verbosity, can.verbosity, body)


def _effort(budget_tokens: int | None) -> str | None:
    if budget_tokens is None:
        return None
    return next((effort for most, effort in _EFFORT_BY_BUDGET if budget_tokens <= most), "high")


def _json_schema(given: ResponseFormat) -> Json:
    schema: Json = {"name": given.name or "answer", "schema": msgspec.Raw(given.schema or b"{}")}
    if given.description is not None:
        schema["description"] = given.description
    schema["strict"] = _admits_strict(_decode(given.schema or b"{}")) if given.strict is None else given.strict
    return {"type": "json_schema", "json_schema": schema}


def _admits_strict(schema: object) -> bool:
    """Whether OpenAI takes the schema as strict: every object closed, every property required
    (https://platform.openai.com/docs/guides/structured-outputs#supported-schemas)."""
    if isinstance(schema, list):
        return all(map(_admits_strict, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict) and set(schema.get("required") or ()) != set(properties):
        return False
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        return False
    return all(map(_admits_strict, schema.values()))
