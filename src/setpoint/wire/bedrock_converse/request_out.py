"""A Converse request, from nouns to bytes, with a list of what got lost. The body names neither the model nor whether to stream.

What Converse insists on beside what `parts_out` says: a history with calls needs tools declared; `toolChoice` has no word for none; with
thinking a Claude takes no temperature, no top_p, no top_k and no forced call.
"""

import re

import msgspec

from setpoint.domain.chat import ChatRequest, ResponseFormat, Text, Thinking, Tool, ToolCall, ToolResult
from setpoint.domain.faults import Fault
from setpoint.wire.bedrock_converse import model_facts, more_fields
from setpoint.wire.bedrock_converse.parts_out import Blocks, Json, PartsWriter
from setpoint.wire.bedrock_converse.request_in import STOP_SEQUENCE_PATHS, USER
from setpoint.wire.bedrock_converse.words import ANSWER_TOOL, DIALECT, SIGNER, is_tool_name, tool_name
from setpoint.wire.bodies import bad_body, loss_names, unsupported
from setpoint.wire.closed_schema import closed
from setpoint.wire.dialect import Encoded
from setpoint.wire.signatures import own

_encode = msgspec.json.Encoder().encode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_metadata = msgspec.json.Decoder(dict[str, str]).decode

_NO_ARGUMENTS = msgspec.Raw(b'{"type":"object","properties":{}}')
_TIERS = {"default": "default", "standard_only": "default", "flex": "flex", "priority": "priority", "reserved": "reserved"}
_CARRIED = {
    "guardrailConfig": b"{",
    "promptVariables": b"{",
    "performanceConfig": b"{",
    "additionalModelResponseFieldPaths": b"[",
}
"""Members of Converse that have no noun, and how they begin: a client of any dialect may give them, and they are sent as they are."""
_METADATA_VALUE = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,\-.]{0,256}")
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_THREE_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


def encode_request(request: ChatRequest, model: str) -> Encoded | Fault:
    try:
        return _RequestWriter(request, model).write()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # A schema is carried unread until a dialect has to look into it.
        return bad_body(error)


class _RequestWriter:
    """One request on its way out. `more` becomes additionalModelRequestFields."""

    __slots__ = ("inference", "lose", "model", "more", "parts", "request")

    def __init__(self, request: ChatRequest, model: str) -> None:
        self.request = request
        self.model = model
        self.parts = PartsWriter(model)
        self.lose = self.parts.lose
        self.inference: Json = {}
        self.more: dict[str, object] = dict(more_fields.given(request))

    def write(self) -> Encoded | Fault:
        if self.request.n != 1:
            return unsupported("n", "this provider gives one answer a request; leave out n or set it to 1.")
        instructed = any(text.text.strip() for text in self.request.system)
        body: Json = {"messages": self.parts.messages(self.request.messages, instructed)}
        self.sampling()
        self.tools(body)
        self.reasoning("toolConfig" in body and bool({"any", "tool"} & set(_choice_of(body))))
        self.response_format(body)
        system = self.system()
        if system:
            body["system"] = system
        self.rest(body)
        if self.inference:
            body["inferenceConfig"] = self.inference
        if self.more:
            body["additionalModelRequestFields"] = self.more
        return self.parts.fault or Encoded(_encode(body), tuple(self.parts.losses))

    # ---------------------------------------------------------------- instructions

    def system(self) -> Blocks:
        """Instructions that came between turns go to the end of the system prompt."""
        texts = [text for text in self.request.system if text.text.strip()]
        for message in self.request.messages:
            if message.role == "system":
                self.lose("messages.role system (moved to the system prompt)")
                texts += [part for part in message.parts if isinstance(part, Text) and part.text.strip()]
        asked = self.format_in_words()
        if asked:
            texts.append(Text(asked))
        blocks: Blocks = []
        for text in texts:
            blocks.append({"text": text.text})
            blocks += self.parts.cache_point(text.cache)
        return blocks

    # ---------------------------------------------------------------- tools

    def tools(self, body: Json) -> None:
        request, tools = self.request, []
        for tool in request.tools:
            made = self.tool(tool)
            if made is not None:
                tools.append(made)
                tools += self.parts.cache_point(tool.cache, in_tools=True)
        called = _names_in_history(request)
        choice = request.tool_choice
        if choice is not None and choice.mode == "none" and tools:
            if not called:
                self.lose("tools (left out, as tool_choice is none)")
                return
            self.lose("tool_choice none (the model may still call)")
        if not tools:
            if called:
                self.lose("tools (declared from the calls in the history)")
                body["toolConfig"] = {"tools": [{"toolSpec": _spec(name, _NO_ARGUMENTS)} for name in called]}
            return
        config: Json = {"tools": tools}
        self.tool_choice(config)
        body["toolConfig"] = config

    def tool_choice(self, config: Json) -> None:
        choice = self.request.tool_choice
        mode = choice.mode if choice is not None else ""
        if mode == "named" and choice is not None:
            config["toolChoice"] = {"tool": {"name": choice.name}}
        elif mode == "required":
            config["toolChoice"] = {"any": {}}
        if self.request.parallel_tool_calls is False:
            if mode in {"", "auto"} and model_facts.takes_single_calls(self.model):
                self.more["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": True}
                return
            self.lose("parallel_tool_calls")
        if mode == "auto" and model_facts.takes_tool_choice(self.model):
            config["toolChoice"] = {"auto": {}}

    def tool(self, tool: Tool) -> msgspec.Raw | Json | None:
        if tool.foreign is not None:
            if tool.dialect == DIALECT and tool.raw:
                return msgspec.Raw(tool.raw)
            self.lose(f"tool {tool.foreign} (runs at its own provider only)")
            return None
        if not is_tool_name(tool.name):
            self.parts.refuse(unsupported("tools.name", "this provider takes names of at most 64 letters, digits, `_` and `-`."))
        spec = _spec(tool.name, _object_schema(tool.schema))
        if tool.description:
            spec["description"] = tool.description
        if tool.strict:
            if model_facts.takes_text_format(self.model):
                spec["strict"] = True
            else:
                self.lose("tools.strict")
        return {"toolSpec": spec}

    # ---------------------------------------------------------------- how to answer

    def sampling(self) -> None:
        given = self.request.sampling
        for name in ("frequency_penalty", "presence_penalty"):
            if getattr(given, name):
                self.lose(name)
        if given.seed is not None:
            self.lose("seed")
        if self.request.max_tokens is not None:
            self.inference["maxTokens"] = self.request.max_tokens
        if given.temperature is not None:
            if given.temperature > 1:
                self.lose("temperature (lowered to 1)")
            self.inference["temperature"] = min(given.temperature, 1.0)
        if given.top_p is not None:
            if given.temperature is None or not model_facts.takes_text_format(self.model) or not model_facts.is_claude(self.model):
                self.inference["topP"] = given.top_p
            elif given.top_p != 1:
                self.lose("top_p (temperature is set)")
        if given.top_k is not None:
            self.top_k(given.top_k)
        stop = [text for text in self.request.stop if text]
        if stop:
            self.inference["stopSequences"] = stop

    def top_k(self, top_k: int) -> None:
        if model_facts.is_nova(self.model):
            self.more["inferenceConfig"] = {"topK": top_k}
        elif model_facts.is_claude(self.model) or "mistral." in self.model:
            self.more["top_k"] = top_k
        else:
            self.lose("top_k")

    def reasoning(self, forced: bool) -> None:
        reasoning = self.request.reasoning
        if reasoning is None:
            return
        if reasoning.mode == "disabled":
            if model_facts.reasons_by_config(self.model):
                self.more["reasoningConfig"] = {"type": "disabled"}
            elif model_facts.is_claude(self.model):
                self.more["thinking"] = {"type": "disabled"}
            return
        effort = reasoning.effort or _effort_of(reasoning.budget_tokens)
        if model_facts.is_claude(self.model):
            self.claude_thinks(forced)
        elif model_facts.reasons_by_config(self.model):
            self.nova_reasons(_THREE_EFFORTS.get(effort, "medium"))
        elif model_facts.reasons_by_effort(self.model):
            self.more["reasoning_effort"] = _THREE_EFFORTS.get(effort, "medium")
        elif model_facts.reasons_by_word(self.model):
            self.more["reasoning_config"] = _THREE_EFFORTS.get(effort, "medium")
        else:
            self.lose("reasoning (this model has no setting for it)")

    def claude_thinks(self, forced: bool) -> None:
        """Thinking is given up where Bedrock would refuse the request for it."""
        reasoning = self.request.reasoning
        assert reasoning is not None
        if forced:
            self.lose("reasoning (a forced tool call excludes thinking)")
            return
        if _calls_without_thinking(self.request):
            self.lose("reasoning (the last tool calls came back without their thinking_blocks)")
            return
        effort = _EFFORTS.get(reasoning.effort, "medium") if reasoning.effort else None
        if reasoning.budget_tokens is None and model_facts.takes_adaptive_thinking(self.model):
            self.more["thinking"] = {"type": "adaptive"} | _display(reasoning.show)
            if effort is not None:
                self.more["output_config"] = {"effort": effort}
        elif not self.budget(reasoning.budget_tokens or model_facts.BUDGET_BY_EFFORT.get(reasoning.effort or "medium", 8_192)):
            return
        self.drop("thinking excludes it", temperature=1)

    def thinks(self) -> bool:
        thinking = self.more.get("thinking")
        return isinstance(thinking, dict) and thinking["type"] != "disabled"

    def budget(self, budget_tokens: int) -> bool:
        """Without a limit Converse takes the model's own, which is above every budget here."""
        most = self.request.max_tokens
        if most is not None:
            if most <= model_facts.THINKING_TOKENS_MIN:
                self.lose("reasoning (max_tokens leaves no room to think)")
                return False
            budget_tokens = max(model_facts.THINKING_TOKENS_MIN, min(budget_tokens, most - most // 4))
        self.more["thinking"] = {"type": "enabled", "budget_tokens": budget_tokens}
        return True

    def nova_reasons(self, effort: str) -> None:
        """With the high effort Nova refuses limits and sampling."""
        self.more["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": effort}
        if effort == "high":
            self.drop("the high effort excludes it")
            if self.inference.pop("maxTokens", None) is not None:
                self.lose("max_tokens (the high effort excludes it)")

    def drop(self, why: str, temperature: float | None = None) -> None:
        """Take sampling back; a temperature equal to `temperature` is no loss."""
        if self.inference.pop("temperature", temperature) != temperature:
            self.lose(f"temperature ({why})")
        if self.inference.pop("topP", None) is not None:
            self.lose(f"top_p ({why})")
        if self.more.pop("top_k", None) is not None or self.more.pop("inferenceConfig", None) is not None:
            self.lose(f"top_k ({why})")

    # ---------------------------------------------------------------- structured output

    def response_format(self, body: Json) -> None:
        given = self.request.response_format
        if given is None or given.kind != "json_schema":
            return
        if model_facts.takes_text_format(self.model):
            schema, changed = closed(given.schema or b"{}")
            if changed:
                self.lose(f"response_format ({' '.join(changed)} changed in the schema)")
            definition: Json = {"schema": bytes(schema).decode()}
            if given.name:
                definition["name"] = given.name
            if given.description:
                definition["description"] = given.description
            body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": definition}}}
        elif self.can_force_answer():
            self.force_answer(given, body)

    def can_force_answer(self) -> bool:
        """Whether a forced tool can stand for the answer: not beside thinking, nor where calls are forced or forbidden already."""
        force = model_facts.forcing(self.model)
        choice = self.request.tool_choice
        free = choice is None or choice.mode == "auto"
        return bool(force) and free and not self.thinks() and not _is_no_object(self.request.response_format)

    def force_answer(self, given: ResponseFormat, body: Json) -> None:
        """Beside other tools the model has to call any one: the answer is one of them."""
        self.lose("response_format json_schema (as the arguments of a forced tool)")
        config = body.setdefault("toolConfig", {"tools": []})
        assert isinstance(config, dict)
        others = bool(self.request.tools) and bool(config["tools"])
        spec = _spec(ANSWER_TOOL, _object_schema(given.schema))
        spec["description"] = given.description or "Gives the answer. Call it exactly once, with the whole answer."
        config["tools"].append({"toolSpec": spec})
        by_name = not others and model_facts.forcing(self.model) == "tool"
        config["toolChoice"] = {"tool": {"name": ANSWER_TOOL}} if by_name else {"any": {}}

    def format_in_words(self) -> str:
        """What models that cannot be held to a form are told; empty for the others."""
        given = self.request.response_format
        if given is None:
            return ""
        if given.kind == "json_object":
            self.lose("response_format json_object (asked for in the system prompt)")
            return "Answer with one JSON object and nothing else: no prose, no code fence."
        forced = "response_format json_schema (as the arguments of a forced tool)" in self.parts.losses
        if forced or model_facts.takes_text_format(self.model):
            return ""
        self.lose("response_format json_schema (asked for in the system prompt)")
        schema = (given.schema or b"{}").decode("utf-8", "replace")
        return f"Answer with JSON that satisfies this JSON Schema, and nothing else: no prose, no code fence.\n{schema}"

    # ---------------------------------------------------------------- the rest

    def rest(self, body: Json) -> None:
        request = self.request
        if request.logprobs or request.top_logprobs:
            self.lose("logprobs")
        if request.verbosity is not None:
            self.lose("verbosity")
        if request.service_tier is not None and request.service_tier != "auto":
            tier = _TIERS.get(request.service_tier)
            if tier is None:
                self.lose("service_tier")
            else:
                body["serviceTier"] = {"type": tier}
        if "stopSequences" in self.inference and model_facts.is_claude(self.model):
            body["additionalModelResponseFieldPaths"] = STOP_SEQUENCE_PATHS
        self.metadata(body)
        unsaid = dict(request.extras)
        unsaid.pop("requestMetadata", None)
        unsaid.pop(more_fields.MEMBER, None)
        for name, begin in _CARRIED.items():
            if unsaid.get(name, b"").startswith(begin):
                body[name] = msgspec.Raw(unsaid.pop(name))
        for name in loss_names(unsaid):
            self.lose(name)

    def metadata(self, body: Json) -> None:
        """The client's `user` is a pair among those that the logs of invocations can be searched by."""
        raw = self.request.extras.get("requestMetadata")
        pairs = _metadata(raw) if raw is not None else {}
        user = self.request.user
        if user is not None:
            if _METADATA_VALUE.fullmatch(user):
                pairs[USER] = user
            else:
                self.lose("user")
        if pairs:
            body["requestMetadata"] = pairs


def _spec(name: str, schema: msgspec.Raw) -> Json:
    return {"name": name, "inputSchema": {"json": schema}}


def _choice_of(body: Json) -> Json:
    config = body["toolConfig"]
    choice = config.get("toolChoice", {}) if isinstance(config, dict) else {}
    return choice if isinstance(choice, dict) else {}


def _object_schema(schema: bytes | None) -> msgspec.Raw:
    """Bedrock wants the type of the whole said; OpenAI lets it be left out."""
    if schema is None:
        return _NO_ARGUMENTS
    members = _members(schema)
    return msgspec.Raw(schema) if "type" in members else msgspec.Raw(_encode({"type": "object", **members}))


def _is_no_object(given: ResponseFormat | None) -> bool:
    """Arguments of a tool are always an object; an answer may be something else."""
    kind = _members(given.schema).get("type") if given is not None and given.schema else None
    return kind is not None and bytes(kind) != b'"object"'


def _display(show: bool | None) -> Json:
    return {} if show is None else {"display": "summarized" if show else "omitted"}


def _effort_of(budget_tokens: int | None) -> str:
    if budget_tokens is None:
        return "medium"
    return "low" if budget_tokens <= 2_048 else "medium" if budget_tokens <= 8_192 else "high"


def _names_in_history(request: ChatRequest) -> list[str]:
    """Names of the tools called so far. A result without its call needs a tool as well."""
    parts = [part for message in request.messages for part in message.parts]
    names = list(dict.fromkeys(tool_name(part.name) for part in parts if isinstance(part, ToolCall)))
    return names or (["unknown"] if any(isinstance(part, ToolResult) for part in parts) else [])


def _calls_without_thinking(request: ChatRequest) -> bool:
    """Whether the conversation stands at results of calls whose turn has no signed thinking."""
    if not request.messages or request.messages[-1].role != "tool":
        return False
    last = next((message for message in reversed(request.messages) if message.role == "assistant"), None)
    thoughts = [part for part in last.parts if isinstance(part, Thinking)] if last is not None else []
    return last is not None and not any(own(SIGNER, part.signature) or own(SIGNER, part.redacted) for part in thoughts)
