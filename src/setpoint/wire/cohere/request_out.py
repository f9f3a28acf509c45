"""A chat request for Cohere, from nouns to bytes, with a list of what got lost."""

import msgspec

from setpoint.domain.chat import ChatRequest, ResponseFormat, Tool
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import bad_body, loss_names, unsupported, wrong
from setpoint.wire.cohere.messages_out import MessagesWriter
from setpoint.wire.cohere.model_facts import (
    BUDGET_BY_EFFORT,
    PENALTY_MAX,
    PENALTY_MIN,
    STOP_SEQUENCES_MAX,
    TOP_K_MAX,
    TOP_P_MAX,
    TOP_P_MIN,
    thinks,
)
from setpoint.wire.dialect import Encoded

_encode = msgspec.json.Encoder().encode
Json = dict[str, object]

_NO_ARGUMENTS = msgspec.Raw(b'{"type":"object","properties":{}}')
_OWN = ("safety_mode", "citation_options", "priority")
"""Members of this dialect that the nouns do not have; among the extras they are sent as they came."""


def encode_request(request: ChatRequest, model: str, stream: bool) -> Encoded | Fault:
    try:
        return _RequestWriter(request, model, stream).write()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # A schema is carried unread until a dialect has to look into it.
        return bad_body(error)


class _RequestWriter:
    """One request on its way out. `losses` is a dict because it keeps order and drops repeats."""

    __slots__ = ("losses", "model", "request", "stream")

    def __init__(self, request: ChatRequest, model: str, stream: bool) -> None:
        self.request = request
        self.model = model
        self.stream = stream
        self.losses: dict[str, None] = {}

    def lose(self, what: str) -> None:
        self.losses[what] = None

    def write(self) -> Encoded | Fault:
        request = self.request
        if request.n != 1:
            return unsupported("n", "this provider gives one answer a request; leave out n or set it to 1.")
        tools = self.offered()
        form = request.response_format
        in_words = _in_words(form) if form is not None and tools else ""
        if in_words and form is not None:
            self.lose(f"response_format {form.kind} (asked for in the system prompt)")
        writer = MessagesWriter(request, self.model, self.losses, with_documents=not tools and form is None)
        body: Json = {"model": self.model, "messages": writer.write(in_words)}
        if writer.fault is not None:
            return writer.fault
        if not body["messages"]:
            return wrong("messages", "no message has content.")
        if writer.documents:
            body["documents"] = writer.documents
        self.tools(body, tools)
        if form is not None and not in_words:
            body["response_format"] = _response_format(form)
        self.sampling(body)
        self.reasoning(body)
        self.rest(body)
        return Encoded(_encode(body), tuple(self.losses))

    # ---------------------------------------------------------------- tools

    def offered(self) -> list[Tool]:
        """The tools to offer: just the one that has to be called, since no name can be forced."""
        found = []
        for tool in self.request.tools:
            if tool.foreign is not None:
                self.lose(f"tool {tool.foreign} (runs at its own provider only)")
            else:
                found.append(tool)
        choice = self.request.tool_choice
        if choice is not None and choice.mode == "named" and any(tool.name == choice.name for tool in found):
            if len(found) > 1:
                self.lose("tool_choice (only the named tool is offered)")
            return [tool for tool in found if tool.name == choice.name]
        return found

    def tools(self, body: Json, tools: list[Tool]) -> None:
        if not tools:
            return
        body["tools"] = [self.tool(tool) for tool in tools]
        stricts = {tool.strict for tool in tools}
        if len(stricts) == 1 and (strict := stricts.pop()) is not None:
            body["strict_tools"] = strict
        elif True in stricts:
            self.lose("tools.strict (of some tools only)")
        choice = self.request.tool_choice
        if choice is not None and choice.mode != "auto":
            body["tool_choice"] = "NONE" if choice.mode == "none" else "REQUIRED"
        if self.request.parallel_tool_calls is False:
            self.lose("parallel_tool_calls")

    def tool(self, tool: Tool) -> Json:
        if tool.cache is not None:
            self.lose("cache_control")
        made: Json = {"name": tool.name, "parameters": _NO_ARGUMENTS if tool.schema is None else msgspec.Raw(tool.schema)}
        if tool.description is not None:
            made["description"] = tool.description
        return {"type": "function", "function": made}

    # ---------------------------------------------------------------- the rest

    def sampling(self, body: Json) -> None:
        given = self.request.sampling
        if given.temperature is not None:
            body["temperature"] = given.temperature
        self.limited(body, "p", "top_p", given.top_p, TOP_P_MIN, TOP_P_MAX)
        self.limited(body, "k", "top_k", given.top_k, 0, TOP_K_MAX)
        self.limited(body, "frequency_penalty", "frequency_penalty", given.frequency_penalty, PENALTY_MIN, PENALTY_MAX)
        self.limited(body, "presence_penalty", "presence_penalty", given.presence_penalty, PENALTY_MIN, PENALTY_MAX)
        if given.seed is not None:
            body["seed"] = given.seed
        if self.request.max_tokens is not None:
            body["max_tokens"] = self.request.max_tokens
        if len(self.request.stop) > STOP_SEQUENCES_MAX:
            self.lose(f"stop (only the first {STOP_SEQUENCES_MAX})")
        if self.request.stop:
            body["stop_sequences"] = list(self.request.stop[:STOP_SEQUENCES_MAX])

    def limited(self, body: Json, name: str, known_as: str, value: float | None, least: float, most: float) -> None:
        """Values out of range are refused there; the nearest one is sent."""
        if value is None:
            return
        body[name] = min(max(value, least), most)
        if not least <= value <= most:
            self.lose(f"{known_as} (limited to {least} to {most})")

    def reasoning(self, body: Json) -> None:
        given = self.request.reasoning
        if given is None:
            return
        if not thinks(self.model):
            if given.mode != "disabled":
                self.lose("reasoning")
            return
        if given.mode == "disabled":
            body["thinking"] = {"type": "disabled"}
            return
        budget = given.budget_tokens or BUDGET_BY_EFFORT.get(given.effort or "")
        body["thinking"] = {"type": "enabled", "token_budget": budget} if budget else {"type": "enabled"}

    def rest(self, body: Json) -> None:
        request = self.request
        if request.logprobs:
            body["logprobs"] = True
        if request.top_logprobs:
            self.lose("top_logprobs")
        for name in ("user", "service_tier", "verbosity"):
            if getattr(request, name) is not None:
                self.lose(name)
        for name in _OWN:
            if name in request.extras:
                body[name] = msgspec.Raw(request.extras[name])
        for name in loss_names({name: raw for name, raw in request.extras.items() if name not in _OWN}):
            self.lose(name)
        body["stream"] = self.stream


def _response_format(given: ResponseFormat) -> Json:
    if given.schema is None or given.kind == "json_object":
        return {"type": "json_object"}
    return {"type": "json_object", "json_schema": msgspec.Raw(given.schema)}


def _in_words(given: ResponseFormat) -> str:
    """Tools and a form exclude each other there, so the form is asked for."""
    if given.schema is None or given.kind == "json_object":
        return "Answer with one JSON object and nothing else: no prose, no code fence."
    schema = given.schema.decode("utf-8", "replace")
    return f"Answer with JSON that satisfies this JSON Schema, and nothing else: no prose, no code fence.\n{schema}"
