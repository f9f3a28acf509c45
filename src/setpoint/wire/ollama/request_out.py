"""A chat request for Ollama, from nouns to bytes, with a list of what got lost."""

import msgspec

from setpoint.domain.chat import ChatRequest, Tool
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import bad_body, loss_names, unsupported
from setpoint.wire.dialect import Encoded
from setpoint.wire.ollama.messages_out import MessagesWriter
from setpoint.wire.ollama.request_in import OPTION

_encode = msgspec.json.Encoder().encode
Json = dict[str, object]

_NO_ARGUMENTS = msgspec.Raw(b'{"type":"object","properties":{}}')
_OWN = ("keep_alive", "truncate", "shift")
"""Members of this dialect that the nouns do not have; among the extras they are sent as they came."""

_LEVELS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


def encode_request(request: ChatRequest, model: str, stream: bool) -> Encoded | Fault:
    try:
        return _RequestWriter(request, model, stream).write()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # A schema is carried unread until a dialect has to look into it.
        return bad_body(error)


def takes_levels(model: str) -> bool:
    """Whether the model thinks by levels (https://docs.ollama.com/capabilities/thinking); the others are told yes or no."""
    return "gpt-oss" in model


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
        writer = MessagesWriter(self.losses)
        body: Json = {"model": self.model, "messages": writer.write(request)}
        if writer.fault is not None:
            return writer.fault
        if tools := self.tools():
            body["tools"] = tools
        form = request.response_format
        if form is not None:
            body["format"] = msgspec.Raw(form.schema) if form.kind == "json_schema" and form.schema else "json"
        if options := self.options():
            body["options"] = options
        self.thinking(body)
        self.rest(body)
        return Encoded(_encode(body), tuple(self.losses))

    def tools(self) -> list[Json]:
        """No call can be forced or forbidden there: the choice is made by what is offered."""
        tools = []
        for tool in self.request.tools:
            if tool.foreign is not None:
                self.lose(f"tool {tool.foreign} (runs at its own provider only)")
            else:
                tools.append(tool)
        choice = self.request.tool_choice
        if tools and choice is not None and choice.mode != "auto":
            if choice.mode == "none":
                self.lose("tool_choice none (no tool is offered)")
                return []
            if choice.mode == "named":
                tools = [tool for tool in tools if tool.name == choice.name] or tools
                self.lose("tool_choice (only the named tool is offered; a call cannot be forced)")
            else:
                self.lose("tool_choice required (a call cannot be forced)")
        if tools and self.request.parallel_tool_calls is False:
            self.lose("parallel_tool_calls")
        return [self.tool(tool) for tool in tools]

    def tool(self, tool: Tool) -> Json:
        if tool.cache is not None:
            self.lose("cache_control")
        if tool.strict:
            self.lose("tools.strict")
        made: Json = {"name": tool.name}
        if tool.description is not None:
            made["description"] = tool.description
        made["parameters"] = _NO_ARGUMENTS if tool.schema is None else msgspec.Raw(tool.schema)
        return {"type": "function", "function": made}

    def options(self) -> Json:
        given = self.request.sampling
        options: Json = {}
        for name in ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed"):
            if (value := getattr(given, name)) is not None:
                options[name] = value
        if self.request.max_tokens is not None:
            options["num_predict"] = self.request.max_tokens
        if self.request.stop:
            options["stop"] = list(self.request.stop)
        for name, raw in self.request.extras.items():
            if name.startswith(OPTION):
                options[name.removeprefix(OPTION)] = msgspec.Raw(raw)
        return options

    def thinking(self, body: Json) -> None:
        given = self.request.reasoning
        if given is None:
            return
        if given.mode == "disabled":
            body["think"] = False
            return
        level = _LEVELS.get(given.effort or "") if takes_levels(self.model) else None
        if given.effort != level:
            self.lose("reasoning (the effort is not kept)")
        if given.budget_tokens is not None:
            self.lose("reasoning (a budget is not kept)")
        body["think"] = True if level is None else level

    def rest(self, body: Json) -> None:
        request = self.request
        if request.logprobs:
            body["logprobs"] = True
        if request.top_logprobs is not None:
            body["top_logprobs"] = request.top_logprobs
        for name in ("user", "service_tier", "verbosity"):
            if getattr(request, name) is not None:
                self.lose(name)
        for name in _OWN:
            if name in request.extras:
                body[name] = msgspec.Raw(request.extras[name])
        rest = {name: raw for name, raw in request.extras.items() if name not in _OWN and not name.startswith(OPTION)}
        for name in loss_names(rest):
            self.lose(name)
        body["stream"] = self.stream
