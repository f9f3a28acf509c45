"""A messages request for Anthropic, from nouns to bytes, with a list of what got lost.

What Anthropic insists on, and other dialects do not, beside what `messages_out` says:
  - a history with calls needs tools declared;
  - `max_tokens`;
  - with a thinking budget: it is below max_tokens, there is no temperature and no forced tool, and the last calls of the history carry
    their signed thinking.
"""

import msgspec

from setpoint.domain.chat import ChatRequest, Reasoning, ResponseFormat, Text, Tool, ToolCall
from setpoint.domain.faults import Fault
from setpoint.wire.anthropic.answer_tool import ANSWER_TOOL, DESCRIPTION
from setpoint.wire.anthropic.messages_out import MessagesWriter, calls_without_thinking, marked_block, only_here
from setpoint.wire.anthropic.model_facts import (
    BUDGET_BY_EFFORT,
    DEFAULT_MAX_TOKENS,
    THINKING_TOKENS_MIN,
    takes_adaptive_thinking,
    takes_output_format,
)
from setpoint.wire.anthropic.request_in import CITATIONS, CONTEXT, TASK_BUDGET, TOOL_MEMBERS
from setpoint.wire.bodies import bad_body, loss_names, unsupported
from setpoint.wire.closed_schema import closed
from setpoint.wire.dialect import Encoded
from setpoint.wire.report import Report

_encode = msgspec.json.Encoder().encode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
Json = dict[str, object]

_NO_ARGUMENTS = msgspec.Raw(b'{"type":"object","properties":{}}')
_TIERS = {"auto": "auto", "standard_only": "standard_only", "default": "standard_only"}
_CHOICES = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}
_TOP_P_MIN = 0.95
"""What thinking lets `top_p` be at least."""
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}


OWN_MEMBERS = (
    "cache_control",
    "container",
    "context_management",
    "diagnostics",
    "fallbacks",
    "inference_geo",
    "mcp_servers",
    "speed",
    "user_profile_id",
    "workspace_id",
)
"""Members of Anthropic's own request that no neutral noun carries (https://docs.anthropic.com/en/api/messages)."""

_OBJECTS = {"context_management"}
"""A member of that name in another dialect (Responses has a list) is not ours."""
_CARRIED = {CITATIONS, CONTEXT, TOOL_MEMBERS, TASK_BUDGET}


def encode_request(request: ChatRequest, model: str, stream: bool) -> Encoded | Fault:
    try:
        return _RequestWriter(request, model, stream).write()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # A schema is carried unread until a dialect has to look into it.
        return bad_body(error)


def prompt_members(request: ChatRequest, model: str) -> tuple[Json, tuple[str, ...]] | Fault:
    """The members of a request before they are bytes, and the losses, as if the answer were short: for counting only."""
    if request.max_tokens is None:
        budget = (request.reasoning and request.reasoning.budget_tokens) or 0
        request = msgspec.structs.replace(request, max_tokens=budget + DEFAULT_MAX_TOKENS)
    try:
        writer = _RequestWriter(request, model, False)
        body = writer.body()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return bad_body(error)
    return writer.report.fault or (body, tuple(writer.report.losses))


class _RequestWriter:
    """One request on its way out."""

    __slots__ = ("model", "report", "request", "stream")

    def __init__(self, request: ChatRequest, model: str, stream: bool) -> None:
        self.request = request
        self.model = model
        self.stream = stream
        self.report = Report()

    def lose(self, what: str) -> None:
        self.report.lose(what)

    def write(self) -> Encoded | Fault:
        if self.request.n != 1:
            return unsupported("n", "this provider gives one answer a request; leave out n or set it to 1.")
        body = self.body()
        return self.report.fault or Encoded(_encode(body), tuple(self.report.losses))

    def body(self) -> Json:
        request = self.request
        body: Json = {"model": self.model, "max_tokens": request.max_tokens or DEFAULT_MAX_TOKENS}
        if request.max_tokens is None:
            self.lose(f"max_tokens (set to {DEFAULT_MAX_TOKENS})")
        body["messages"] = MessagesWriter(request, self.report).messages()
        answer_tool = self.answer_tool()
        if system := self.system(answer_tool is not None):
            body["system"] = system
        self.tools(body)
        if answer_tool is not None:
            body["tools"] = [answer_tool]
            body["tool_choice"] = {"type": "tool", "name": ANSWER_TOOL}
        self.sampling(body)
        self.output(body)
        self.rest(body)
        self.extras(body)
        return body

    def extras(self, body: Json) -> None:
        for name, raw in self.request.extras.items():
            if name in OWN_MEMBERS and not (name in _OBJECTS and not raw.startswith(b"{")):
                body[name] = msgspec.Raw(raw)
            elif name not in _CARRIED:
                for safe in loss_names({name: raw}):
                    self.lose(safe)

    # ---------------------------------------------------------------- instructions

    def system(self, answered_by_tool: bool) -> str | list[Json]:
        """Instructions that came between turns go to the end of the system prompt."""
        texts = [text for text in self.request.system if text.text]
        for message in self.request.messages:
            if message.role == "system" and not only_here(message):
                self.lose("messages.role system (moved to the system prompt)")
                texts += [part for part in message.parts if isinstance(part, Text) and part.text]
        given = self.request.response_format
        if given is not None and not answered_by_tool and (asked := self.format_in_words(given)):
            texts.append(Text(asked))
        if len(texts) == 1 and texts[0].cache is None:
            return texts[0].text
        return [marked_block({"type": "text", "text": text.text}, text.cache) for text in texts]

    # ---------------------------------------------------------------- tools

    def answer_tool(self) -> Json | None:
        """The forced tool that stands for a schema, where the model cannot be held to one and nothing speaks against a forced tool."""
        request, given = self.request, self.request.response_format
        if given is None or given.kind != "json_schema" or takes_output_format(self.model):
            return None
        thinks = request.reasoning is not None and request.reasoning.mode != "disabled"
        if request.tools or thinks or _called(request) or not _takes_object(given.schema or b"{}"):
            return None
        self.lose("response_format json_schema (asked for by a forced tool call)")
        return {"name": ANSWER_TOOL, "description": given.description or DESCRIPTION, "input_schema": _object_schema(given.schema)}

    def tools(self, body: Json) -> None:
        request = self.request
        tools = [made for tool in request.tools if (made := self.tool(tool)) is not None]
        if not tools:
            if declared := self.tools_of_history():
                body["tools"] = declared
                body["tool_choice"] = {"type": "none"}
            return
        body["tools"] = tools
        if (choice := self.tool_choice()) is not None:
            body["tool_choice"] = choice

    def tool_choice(self) -> Json | None:
        choice, parallel = self.request.tool_choice, self.request.parallel_tool_calls
        if choice is None and parallel is None:
            return None
        made: Json = {"type": "auto" if choice is None else _CHOICES[choice.mode]}
        if choice is not None and choice.mode == "named":
            made["name"] = choice.name
        if parallel is not None and made["type"] != "none":
            made["disable_parallel_tool_use"] = not parallel
        return made

    def tool(self, tool: Tool) -> object | None:
        if tool.dialect == "anthropic" and tool.raw:
            return msgspec.Raw(tool.raw)
        if tool.foreign is not None:
            self.lose(f"tool {tool.foreign} (runs at its own provider only)")
            return None
        made: Json = {"name": tool.name, "input_schema": _object_schema(tool.schema)}
        if tool.description is not None:
            made["description"] = tool.description
        if tool.strict:
            if takes_output_format(self.model):
                made["strict"] = True
            else:
                self.lose("tools.strict")
        return marked_block(made, tool.cache)

    def tools_of_history(self) -> list[Json]:
        names = {part.name: None for message in self.request.messages for part in message.parts if isinstance(part, ToolCall)}
        if names:
            self.lose("tools (declared from the calls in the history)")
        return [{"name": name, "input_schema": _NO_ARGUMENTS} for name in names]

    # ---------------------------------------------------------------- the rest

    def sampling(self, body: Json) -> None:
        given = self.request.sampling
        for name in ("frequency_penalty", "presence_penalty"):
            if getattr(given, name):
                self.lose(name)
        if given.seed is not None:
            self.lose("seed")
        if given.temperature is not None:
            if given.temperature > 1:
                self.lose("temperature (lowered to 1)")
            body["temperature"] = min(given.temperature, 1.0)
        if given.top_p is not None:
            if given.temperature is None:
                body["top_p"] = given.top_p
            elif given.top_p != 1:
                self.lose("top_p (temperature is set)")
        if given.top_k is not None:
            body["top_k"] = given.top_k
        if self.request.stop:
            body["stop_sequences"] = [text for text in self.request.stop if text and not text.isspace()]

    def output(self, body: Json) -> None:
        """Thinking and the form of the answer; both may need `output_config`."""
        config: Json = {}
        reasoning = self.request.reasoning
        if reasoning is not None:
            self.thinking(reasoning, body, config)
        if (budget := self.request.extras.get(TASK_BUDGET)) is not None:
            config["task_budget"] = msgspec.Raw(budget)
        given = self.request.response_format
        if given is not None and given.kind == "json_schema" and takes_output_format(self.model):
            schema, changed = closed(given.schema or b"{}")
            if changed:
                self.lose(f"response_format ({' '.join(changed)} changed in the schema)")
            config["format"] = {"type": "json_schema", "schema": schema}
        if config:
            body["output_config"] = config

    def thinking(self, reasoning: Reasoning, body: Json, config: Json) -> None:
        effort = _EFFORTS.get(reasoning.effort, "medium") if reasoning.effort else None
        if reasoning.mode == "disabled":
            body["thinking"] = {"type": "disabled"}
            if effort is not None:
                config["effort"] = effort
            return
        adaptive = takes_adaptive_thinking(self.model) and reasoning.budget_tokens is None
        if not self.may_think(body, adaptive):
            return
        if adaptive:
            body["thinking"] = {"type": "adaptive"}
            if effort is not None:
                config["effort"] = effort
        else:
            self.budget(body, reasoning)
            if effort is not None and reasoning.budget_tokens is not None:
                config["effort"] = effort
        if reasoning.show is not None and isinstance(made := body.get("thinking"), dict):
            made["display"] = "summarized" if reasoning.show else "omitted"

    def may_think(self, body: Json, adaptive: bool) -> bool:
        """Thinking is given up where Anthropic would refuse the request for it. With a forced tool,
        adaptive thinking just does not think."""
        choice = self.request.tool_choice
        if not adaptive and choice is not None and choice.mode in {"required", "named"} and "tools" in body:
            self.lose("reasoning (a forced tool call excludes thinking)")
            return False
        if calls_without_thinking(self.request.messages):
            self.lose("reasoning (the last tool calls came back without their thinking_blocks)")
            return False
        return True

    def budget(self, body: Json, reasoning: Reasoning) -> None:
        """A budget that was asked for stays; one that stands for a word leaves a quarter of `max_tokens` to the answer."""
        most, asked = self.request.max_tokens, reasoning.budget_tokens
        budget_tokens = asked or BUDGET_BY_EFFORT.get(reasoning.effort or "medium", 8_192)
        if most is None:
            body["max_tokens"] = budget_tokens + DEFAULT_MAX_TOKENS
        elif most <= THINKING_TOKENS_MIN:
            self.lose("reasoning (max_tokens leaves no room to think)")
            return
        else:
            budget_tokens = max(THINKING_TOKENS_MIN, min(budget_tokens, most - 1 if asked else most - most // 4))
        body["thinking"] = {"type": "enabled", "budget_tokens": budget_tokens}
        for name, least in (("temperature", 1.0), ("top_p", _TOP_P_MIN), ("top_k", None)):
            value = body.get(name)
            if value is not None and (least is None or not isinstance(value, float | int) or value < least):
                del body[name]
                self.lose(f"{name} (thinking excludes it)")

    def format_in_words(self, given: ResponseFormat) -> str:
        """What models that cannot be held to a form are told; empty for the others."""
        if given.kind == "json_object":
            self.lose("response_format json_object (asked for in the system prompt)")
            return "Answer with one JSON object and nothing else: no prose, no code fence."
        if takes_output_format(self.model):
            return ""
        self.lose("response_format json_schema (asked for in the system prompt)")
        schema = (given.schema or b"{}").decode("utf-8", "replace")
        return f"Answer with JSON that satisfies this JSON Schema, and nothing else: no prose, no code fence.\n{schema}"

    def rest(self, body: Json) -> None:
        request = self.request
        if request.verbosity is not None:
            self.lose("verbosity")
        if request.logprobs or request.top_logprobs:
            self.lose("logprobs")
        if request.user is not None:
            body["metadata"] = {"user_id": request.user}
        if request.service_tier is not None:
            tier = _TIERS.get(request.service_tier)
            if tier is None:
                self.lose("service_tier")
            else:
                body["service_tier"] = tier
        if self.stream:
            body["stream"] = True


def _object_schema(schema: bytes | None) -> msgspec.Raw:
    """Anthropic wants the type said; OpenAI lets it be left out."""
    if schema is None:
        return _NO_ARGUMENTS
    if schema.startswith(b'{"type":"object"'):
        return msgspec.Raw(schema)
    members = _members(schema)
    if "type" in members:
        return msgspec.Raw(schema)
    return msgspec.Raw(_encode({"type": "object", **members}))


def _takes_object(schema: bytes) -> bool:
    members = _members(schema)
    return bytes(members.get("type", msgspec.Raw(b'"object"'))) == b'"object"'


def _called(request: ChatRequest) -> bool:
    return any(isinstance(part, ToolCall) for message in request.messages for part in message.parts)
