"""A messages request for Anthropic, from nouns to bytes, with a list of what got lost.

What Anthropic insists on, and other dialects do not:
  - turns alternate, the first is the user's, and no text is empty;
  - results of tools come in the user turn right after the calls, ahead of other content, all of them together;
  - a history with calls needs tools declared;
  - `max_tokens`;
  - with a thinking budget: it is below max_tokens, there is no temperature and no forced tool, and the last calls of the history carry
    their signed thinking.
"""

import msgspec

from setpoint.domain.chat import (
    CacheMark,
    ChatRequest,
    Document,
    Foreign,
    Image,
    Message,
    Part,
    Refusal,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from setpoint.domain.faults import Fault
from setpoint.wire.anthropic.model_facts import (
    BUDGET_BY_EFFORT,
    DEFAULT_MAX_TOKENS,
    THINKING_TOKENS_MIN,
    takes_adaptive_thinking,
    takes_output_format,
)
from setpoint.wire.anthropic.schema import closed
from setpoint.wire.anthropic.words import call_id
from setpoint.wire.bodies import as_object, bad_body, loss_names, unsupported, wrong
from setpoint.wire.dialect import Encoded

_encode = msgspec.json.Encoder().encode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
Json = dict[str, object]

_NO_ARGUMENTS = msgspec.Raw(b'{"type":"object","properties":{}}')
_TIERS = {"auto": "auto", "standard_only": "standard_only", "default": "standard_only"}
_CHOICES = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}


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

    def refuse(self, fault: Fault) -> None:
        self.fault = self.fault or fault

    def write(self) -> Encoded | Fault:
        request = self.request
        if request.n != 1:
            return unsupported("n", "this provider gives one answer a request; leave out n or set it to 1.")
        body: Json = {"model": self.model, "max_tokens": request.max_tokens or DEFAULT_MAX_TOKENS}
        if request.max_tokens is None:
            self.lose(f"max_tokens (set to {DEFAULT_MAX_TOKENS})")
        body["messages"] = self.messages()
        system = self.system()
        if system:
            body["system"] = system
        self.tools(body)
        self.sampling(body)
        self.output(body)
        self.rest(body)
        for name in loss_names(request.extras):
            self.lose(name)
        return self.fault or Encoded(_encode(body), tuple(self.losses))

    # ---------------------------------------------------------------- messages

    def system(self) -> str | list[Json]:
        """Instructions that came between turns go to the end of the system prompt."""
        texts = [text for text in self.request.system if text.text]
        for message in self.request.messages:
            if message.role == "system":
                self.lose("messages.role system (moved to the system prompt)")
                texts += [part for part in message.parts if isinstance(part, Text) and part.text]
        given = self.request.response_format
        if given is not None and (asked := self.format_in_words(given)):
            texts.append(Text(asked))
        if len(texts) == 1 and texts[0].cache is None:
            return texts[0].text
        return [_marked({"type": "text", "text": text.text}, text.cache) for text in texts]

    def messages(self) -> list[Json]:
        turns: list[tuple[str, list[Json]]] = []
        for message in self.request.messages:
            if message.role == "system":
                continue
            role = "assistant" if message.role == "assistant" else "user"
            blocks = self.blocks(message)
            if message.role == "user" and (foreign := next((part for part in message.parts if isinstance(part, Foreign)), None)):
                self.refuse(unsupported("messages.content", f"a part of type {foreign.kind} cannot be sent to this provider."))
            if message.name is not None:
                self.lose("messages.name")
            if turns and turns[-1][0] == role:
                turns[-1][1].extend(blocks)
            elif blocks:
                turns.append((role, blocks))
        if not turns and not any(text.text for text in self.request.system):
            self.refuse(wrong("messages", "no message has content."))
            return []
        if not turns or turns[0][0] == "assistant":
            self.lose("messages (a user turn was put first)")
            turns.insert(0, ("user", [{"type": "text", "text": "(the conversation begins)"}]))
        _strip_prefill(turns)
        return [{"role": role, "content": _content(blocks)} for role, blocks in turns]

    def blocks(self, message: Message) -> list[Json]:
        blocks: list[Json] = []
        for part in message.parts:
            block = self.block(part)
            if block is not None:
                blocks.append(block)
        return blocks

    def block(self, part: Part) -> Json | None:
        if isinstance(part, Text):
            return _marked({"type": "text", "text": part.text}, part.cache) if part.text and not part.text.isspace() else None
        if isinstance(part, ToolCall):
            call: Json = {"type": "tool_use", "id": call_id(part.id), "name": part.name, "input": as_object(part.arguments)}
            return _marked(call, part.cache)
        if isinstance(part, ToolResult):
            return self.result(part)
        if isinstance(part, Image):
            return self.image(part)
        if isinstance(part, Document):
            return self.document(part)
        if isinstance(part, Thinking):
            return self.thinking_block(part)
        if isinstance(part, Refusal):
            return {"type": "text", "text": part.text} if part.text else None
        if isinstance(part, Foreign):
            self.lose(part.kind)
        else:
            self.refuse(unsupported("messages.content.input_audio", "this provider takes no audio."))
        return None

    def result(self, result: ToolResult) -> Json:
        block: Json = {"type": "tool_result", "tool_use_id": call_id(result.call_id)}
        inner = [made for part in result.parts if (made := self.block(part)) is not None]
        if inner:
            block["content"] = _content(inner)
        if result.is_error:
            block["is_error"] = True
        return _marked(block, result.cache)

    def image(self, image: Image) -> Json:
        if image.detail not in {None, "auto"}:
            self.lose("image_url.detail")
        if image.data is not None:
            source: Json = {"type": "base64", "media_type": image.media_type or "image/png", "data": image.data}
        elif image.file_id is not None:
            source = {"type": "file", "file_id": image.file_id}
        else:
            source = {"type": "url", "url": image.url}
        return _marked({"type": "image", "source": source}, image.cache)

    def document(self, document: Document) -> Json:
        if document.text is not None:
            source: Json = {"type": "text", "media_type": "text/plain", "data": document.text}
        elif document.data is not None:
            if document.media_type not in {None, "application/pdf"}:
                self.refuse(unsupported("messages.content.file", "this provider takes files as PDF only, other documents as plain text."))
            source = {"type": "base64", "media_type": "application/pdf", "data": document.data}
        elif document.url is not None:
            source = {"type": "url", "url": document.url}
        else:
            source = {"type": "file", "file_id": document.file_id}
        block: Json = {"type": "document", "source": source}
        if document.name is not None:
            block["title"] = document.name
        return _marked(block, document.cache)

    def thinking_block(self, part: Thinking) -> Json | None:
        if part.redacted:
            return {"type": "redacted_thinking", "data": part.redacted}
        if part.signature:
            return {"type": "thinking", "thinking": part.text, "signature": part.signature}
        self.lose("reasoning_content (of earlier turns, without a signature)")
        return None

    # ---------------------------------------------------------------- tools

    def tools(self, body: Json) -> None:
        request = self.request
        tools = [made for tool in request.tools if (made := self.tool(tool)) is not None]
        if not tools:
            tools = self.tools_of_history()
            if tools:
                body["tools"] = tools
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

    def tool(self, tool: Tool) -> Json | None:
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
        return _marked(made, tool.cache)

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
        if reasoning is not None and reasoning.mode != "disabled" and self.may_think(body):
            effort = _EFFORTS.get(reasoning.effort or "", "medium") if reasoning.effort else None
            if takes_adaptive_thinking(self.model) and reasoning.budget_tokens is None:
                body["thinking"] = {"type": "adaptive"}
                if effort is not None:
                    config["effort"] = effort
            else:
                self.budget(body, reasoning.budget_tokens or BUDGET_BY_EFFORT.get(reasoning.effort or "medium", 8_192))
        given = self.request.response_format
        if given is not None and given.kind == "json_schema" and takes_output_format(self.model):
            schema, changed = closed(given.schema or b"{}")
            if changed:
                self.lose(f"response_format ({' '.join(changed)} changed in the schema)")
            config["format"] = {"type": "json_schema", "schema": schema}
        if config:
            body["output_config"] = config

    def may_think(self, body: Json) -> bool:
        """Thinking is given up where Anthropic would refuse the request for it."""
        choice = self.request.tool_choice
        if choice is not None and choice.mode in {"required", "named"} and "tools" in body:
            self.lose("reasoning (a forced tool call excludes thinking)")
            return False
        if _calls_without_thinking(self.request.messages):
            self.lose("reasoning (the last tool calls came back without their thinking_blocks)")
            return False
        return True

    def budget(self, body: Json, budget_tokens: int) -> None:
        most = self.request.max_tokens
        if most is None:
            body["max_tokens"] = budget_tokens + DEFAULT_MAX_TOKENS
        elif most <= THINKING_TOKENS_MIN:
            self.lose("reasoning (max_tokens leaves no room to think)")
            return
        else:
            budget_tokens = max(THINKING_TOKENS_MIN, min(budget_tokens, most - most // 4))
        body["thinking"] = {"type": "enabled", "budget_tokens": budget_tokens}
        for name, kept in (("temperature", 1), ("top_k", None), ("top_p", None)):
            if body.pop(name, kept) != kept:
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


def _marked(block: Json, cache: CacheMark | None) -> Json:
    if cache is not None:
        block["cache_control"] = {"type": "ephemeral", "ttl": cache.ttl} if cache.ttl else {"type": "ephemeral"}
    return block


def _content(blocks: list[Json]) -> object:
    """One plain text is written as a string."""
    if len(blocks) == 1 and blocks[0]["type"] == "text" and "cache_control" not in blocks[0]:
        return blocks[0]["text"]
    return blocks


def _strip_prefill(turns: list[tuple[str, list[Json]]]) -> None:
    """A last assistant turn is continued, and must not end in white space."""
    role, blocks = turns[-1]
    if role == "assistant" and blocks[-1]["type"] == "text":
        blocks[-1]["text"] = str(blocks[-1]["text"]).rstrip()


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


def _calls_without_thinking(messages: tuple[Message, ...]) -> bool:
    """Whether the conversation stands at results of calls whose turn has no signed thinking."""
    if not messages or messages[-1].role != "tool":
        return False
    last = next((message for message in reversed(messages) if message.role == "assistant"), None)
    return last is not None and not any(isinstance(part, Thinking) and (part.signature or part.redacted) for part in last.parts)
