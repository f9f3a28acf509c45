"""A chat request for an OpenAI-like upstream, from nouns to bytes, with a list of what got lost."""

import msgspec

from setpoint.domain.chat import (
    Audio,
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
    ToolChoice,
    ToolResult,
)
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import bad_body, loss_names, unsupported
from setpoint.wire.dialect import Encoded
from setpoint.wire.openai_chat.model_facts import STOP_SEQUENCES_MAX, is_openai_reasoning, takes_reasoning_effort

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
Json = dict[str, object]

_EFFORT_BY_BUDGET = ((2_048, "low"), (8_192, "medium"))
"""A budget of thinking tokens in words: up to the number; anything above is "high"."""

_TIERS = {"standard_only": "default"}


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
        body: Json = {"model": self.model, "messages": self.messages()}
        self.limits(body)
        self.sampling(body)
        self.tools(body)
        if request.response_format is not None:
            body["response_format"] = _response_format(request.response_format)
        self.reasoning(body)
        self.rest(body)
        if self.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        for name in loss_names(request.extras):
            self.lose(name)
        return self.fault or Encoded(_encode(body), tuple(self.losses))

    # ---------------------------------------------------------------- messages

    def messages(self) -> list[Json]:
        written: list[Json] = []
        if self.request.system:
            written.append({"role": "system", "content": self.texts(self.request.system)})
        for message in self.request.messages:
            if message.role == "tool":
                self.tool_message(message, written)
            elif message.role == "assistant":
                written.append(self.assistant_message(message))
            else:
                written.append(self.plain_message(message))
        if self.request.messages and self.request.messages[-1].role == "assistant":
            self.lose("prefill (the model answers the last assistant turn instead of continuing it)")
        return written

    def plain_message(self, message: Message) -> Json:
        for part in message.parts:
            if isinstance(part, Foreign) and message.role == "user":
                self.refuse("messages.content", f"a part of type {part.kind} cannot be sent to this provider.")
        written: Json = {"role": message.role, "content": self.content(message.parts)}
        if message.name is not None:
            written["name"] = message.name
        return written

    def content(self, parts: tuple[Part, ...]) -> str | list[Json]:
        if len(parts) == 1 and isinstance(only := parts[0], Text) and only.cache is None:
            return only.text
        written = [part for given in parts if (part := self.part(given)) is not None]
        return written or ""

    def texts(self, texts: tuple[Text, ...]) -> str | list[Json]:
        return self.content(texts)

    def part(self, part: Part) -> Json | None:
        if isinstance(part, Text):
            if part.cache is not None:
                self.lose("cache_control")
            return {"type": "text", "text": part.text}
        if isinstance(part, Image):
            return self.image(part)
        if isinstance(part, Document):
            return self.document(part)
        if isinstance(part, Audio):
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        if isinstance(part, Refusal):
            return {"type": "text", "text": part.text}
        self.lose(part.kind if isinstance(part, Foreign) else "content")
        return None

    def image(self, image: Image) -> Json | None:
        if image.cache is not None:
            self.lose("cache_control")
        url = image.url if image.data is None else f"data:{image.media_type};base64,{image.data}"
        if url is None:
            self.refuse("messages.content.source", "an image stored at another provider cannot be sent here; send base64 or a URL.")
            return None
        given: Json = {"url": url}
        if image.detail is not None:
            given["detail"] = image.detail
        return {"type": "image_url", "image_url": given}

    def document(self, document: Document) -> Json | None:
        if document.cache is not None:
            self.lose("cache_control")
        if document.text is not None:
            self.lose("document (plain text became a text part)")
            title = f"{document.name}\n\n" if document.name else ""
            return {"type": "text", "text": title + document.text}
        if document.data is not None:
            given: Json = {"file_data": f"data:{document.media_type};base64,{document.data}"}
            given["filename"] = document.name or "document.pdf"
            return {"type": "file", "file": given}
        if document.file_id is not None:
            return {"type": "file", "file": {"file_id": document.file_id}}
        self.refuse("messages.content.source", "a document by URL cannot be sent to this provider; send it as base64.")
        return None

    def assistant_message(self, message: Message) -> Json:
        texts: list[str] = []
        refusals: list[str] = []
        calls: list[Json] = []
        for part in message.parts:
            if isinstance(part, Text):
                texts.append(part.text)
                if part.cache is not None:
                    self.lose("cache_control")
            elif isinstance(part, ToolCall):
                calls.append({"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments or "{}"}})
            elif isinstance(part, Refusal):
                refusals.append(part.text)
            elif isinstance(part, Thinking):
                self.lose("thinking (of earlier turns)")
            else:
                self.lose(part.kind if isinstance(part, Foreign) else "content of the assistant that is not text")
        written: Json = {"role": "assistant", "content": "".join(texts) if texts or not (calls or refusals) else None}
        if calls:
            written["tool_calls"] = calls
        if refusals:
            written["refusal"] = "".join(refusals)
        if message.name is not None:
            written["name"] = message.name
        return written

    def tool_message(self, message: Message, written: list[Json]) -> None:
        """One message for each result; what is not text follows in a user message, since results here are text only."""
        shown: list[Json] = []
        for result in message.parts:
            if not isinstance(result, ToolResult):
                continue
            if result.is_error:
                self.lose("tool_result.is_error")
            if result.cache is not None:
                self.lose("cache_control")
            texts = tuple(part for part in result.parts if isinstance(part, Text))
            others = [made for part in result.parts if not isinstance(part, Text) and (made := self.part(part)) is not None]
            if others:
                self.lose("tool_result (files moved to a user message)")
                shown += [{"type": "text", "text": f"Files of the result of {result.call_id}:"}, *others]
            written.append({"role": "tool", "tool_call_id": result.call_id, "content": self.content(texts) if texts else ""})
        if shown:
            written.append({"role": "user", "content": shown})

    # ---------------------------------------------------------------- the rest

    def limits(self, body: Json) -> None:
        request = self.request
        fixed = is_openai_reasoning(self.model)
        if request.max_tokens is not None:
            body["max_completion_tokens" if fixed else "max_tokens"] = request.max_tokens
        if request.stop and fixed:
            self.lose("stop")
        elif request.stop:
            if len(request.stop) > STOP_SEQUENCES_MAX:
                self.lose(f"stop (only the first {STOP_SEQUENCES_MAX})")
            body["stop"] = list(request.stop[:STOP_SEQUENCES_MAX])

    def sampling(self, body: Json) -> None:
        given = self.request.sampling
        if given.top_k is not None:
            self.lose("top_k")
        if given.seed is not None:
            body["seed"] = given.seed
        for name in ("temperature", "top_p", "frequency_penalty", "presence_penalty"):
            value: float | None = getattr(given, name)
            if value is None:
                continue
            if is_openai_reasoning(self.model):
                if value != (0 if name.endswith("penalty") else 1):
                    self.lose(name)
            else:
                body[name] = value

    def tools(self, body: Json) -> None:
        request = self.request
        tools = [made for tool in request.tools if (made := self.tool(tool)) is not None]
        if not tools:
            return
        body["tools"] = tools
        if request.tool_choice is not None:
            body["tool_choice"] = _tool_choice(request.tool_choice)
        if request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.parallel_tool_calls

    def tool(self, tool: Tool) -> Json | None:
        if tool.foreign is not None:
            self.lose(f"tool {tool.foreign} (runs at its own provider only)")
            return None
        if tool.cache is not None:
            self.lose("cache_control")
        made: Json = {"name": tool.name}
        if tool.description is not None:
            made["description"] = tool.description
        if tool.schema is not None:
            made["parameters"] = msgspec.Raw(tool.schema)
        if tool.strict is not None:
            made["strict"] = tool.strict
        return {"type": "function", "function": made}

    def reasoning(self, body: Json) -> None:
        given = self.request.reasoning
        if given is None or given.mode == "disabled":
            return
        if not takes_reasoning_effort(self.model):
            self.lose("reasoning")
            return
        effort = given.effort or _effort(given.budget_tokens)
        if effort is not None:
            body["reasoning_effort"] = "xhigh" if effort == "max" else effort

    def rest(self, body: Json) -> None:
        request = self.request
        if request.user is not None:
            body["user"] = request.user
        if request.n != 1:
            body["n"] = request.n
        if request.logprobs:
            body["logprobs"] = True
        if request.top_logprobs is not None:
            body["top_logprobs"] = request.top_logprobs
        if request.service_tier is not None:
            body["service_tier"] = _TIERS.get(request.service_tier, request.service_tier)


def _effort(budget_tokens: int | None) -> str | None:
    if budget_tokens is None:
        return None
    return next((effort for most, effort in _EFFORT_BY_BUDGET if budget_tokens <= most), "high")


def _tool_choice(choice: ToolChoice) -> object:
    return {"type": "function", "function": {"name": choice.name}} if choice.mode == "named" else choice.mode


def _response_format(given: ResponseFormat) -> Json:
    if given.kind == "json_object":
        return {"type": "json_object"}
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
