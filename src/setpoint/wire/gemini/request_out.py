"""A generateContent request for Gemini, from nouns to bytes, with a list of what got lost.

What Gemini insists on, and other dialects do not:
  - the only roles are user and model;
  - all results of parallel calls stand in one content, each under its function's name;
  - no content is empty;
  - from generation 3 on, the first call of a turn carries its thought signature;
  - before generation 3, no form of the answer beside functions.
"""

import re

import msgspec

from setpoint.domain.chat import ChatRequest, Foreign, Message, Text, Tool, ToolCall, ToolChoice, ToolResult
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import bad_body, loss_names, unsupported, wrong
from setpoint.wire.dialect import Encoded
from setpoint.wire.gemini.config_out import format_in_words, generation_config, in_words
from setpoint.wire.gemini.losses import Losses
from setpoint.wire.gemini.model_facts import SKIPPED_SIGNATURE, is_generation_3
from setpoint.wire.gemini.part_out import PartWriter
from setpoint.wire.gemini.schema import google_schema
from setpoint.wire.gemini.signed import NAME
from setpoint.wire.gemini.spelling import camel_name
from setpoint.wire.gemini.words import service_tier

_encode = msgspec.json.Encoder().encode
Json = dict[str, object]
Written = Json | msgspec.Raw

_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
_CARRIED = frozenset({"safetySettings", "cachedContent", "labels", "modelArmorConfig", "store"})
"""Members of a request that only Gemini has; a client of any dialect may send them along."""

_NESTED = re.compile(r"(generationConfig|toolConfig|functionCallingConfig)\.(\w{1,64})")
_BEGINNING: Json = {"text": "(the conversation begins)"}


def encode_request(request: ChatRequest, model: str) -> Encoded | Fault:
    try:
        return _RequestWriter(request, model).write()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # A schema is carried unread until a dialect has to look into it.
        return bad_body(error)
    except RecursionError:
        return wrong("tools", "a schema is nested too deeply.")


class _RequestWriter:
    """One request on its way out."""

    __slots__ = ("losses", "model", "names", "parts", "request")

    def __init__(self, request: ChatRequest, model: str) -> None:
        self.request = request
        self.model = model
        self.losses = Losses()
        self.parts = PartWriter(model, self.losses)
        calls = [part for message in request.messages for part in message.parts if isinstance(part, ToolCall)]
        self.names = {call.id: call.name for call in calls}

    def write(self) -> Encoded | Fault:
        request = self.request
        if request.n != 1:
            return unsupported("n", "one answer a request is translated from this provider; leave out n or set it to 1.")
        body: Json = {"contents": self.contents()}
        if system := self.system():
            body["systemInstruction"] = {"parts": system}
        if tools := self.tools():
            body["tools"] = tools
        config = self.tool_config() if tools else {}
        generation = generation_config(request, self.model, self.losses)
        self.rest(body, generation, config)
        if config:
            body["toolConfig"] = config
        if generation:
            body["generationConfig"] = generation
        return self.losses.fault or Encoded(_encode(body), tuple(self.losses.names))

    # ---------------------------------------------------------------- contents

    def system(self) -> list[Written]:
        """Instructions that came between turns go to the end of the system instruction."""
        texts = list(self.request.system)
        for message in self.request.messages:
            if message.role == "system":
                self.losses.lose("messages.role system (moved to the system instruction)")
                texts += [part for part in message.parts if isinstance(part, Text)]
        given = self.request.response_format
        if given is not None and in_words(self.request, self.model):
            self.losses.lose("response_format (asked for in the system instruction; this model cannot be held to it beside tools)")
            texts.append(Text(format_in_words(given)))
        return [made for text in texts if (made := self.parts.text(text)) is not None]

    def contents(self) -> list[Json]:
        turns: list[tuple[str, list[Written]]] = []
        after_results = False
        for message in self.request.messages:
            if message.role == "system":
                continue
            if message.name is not None:
                self.losses.lose("messages.name")
            written = self.turn(message)
            role = "model" if message.role == "assistant" else "user"
            if written and turns and turns[-1][0] == role and (role == "model" or after_results):
                turns[-1][1].extend(written)
            elif written:
                turns.append((role, written))
            after_results = message.role == "tool" or (after_results and not written)
        if not turns:
            if not self.request.system:
                self.losses.refuse(wrong("messages", "no message has content."))
            self.losses.lose("messages (a user turn was put first)")
            turns.append(("user", [_BEGINNING]))
        return [{"role": role, "parts": parts} for role, parts in turns]

    def turn(self, message: Message) -> list[Written]:
        if message.role == "tool":
            results: list[Written] = [self.parts.result(part, self.name_of(part)) for part in message.parts if isinstance(part, ToolResult)]
            moved, self.parts.moved = self.parts.moved, []
            return results + moved
        if message.role == "assistant":
            return self.model_turn(message)
        for part in message.parts:
            if isinstance(part, Foreign) and part.dialect != NAME:
                self.losses.refuse(unsupported("messages.content", f"a part of type {part.kind} cannot be sent to this provider."))
        written = [made for part in message.parts if (made := self.parts.part(part)) is not None]
        return written or ([{"text": ""}] if any(isinstance(part, Text) for part in message.parts) else [])

    def model_turn(self, message: Message) -> list[Written]:
        written: list[Written] = []
        unsigned = is_generation_3(self.model)
        for part in message.parts:
            if not isinstance(part, ToolCall):
                if (made := self.parts.part(part)) is not None:
                    written.append(made)
                continue
            call = self.parts.call(part)
            if unsigned and "thoughtSignature" not in call:
                call["thoughtSignature"] = SKIPPED_SIGNATURE
            unsigned = False
            written.append(call)
        return written

    def name_of(self, result: ToolResult) -> str:
        name = self.names.get(result.call_id)
        if name is None:
            self.losses.lose("tool_result (of a call that is not in the history, under its id as name)")
        return name or result.call_id.removeprefix("call_") or "function"

    # ---------------------------------------------------------------- tools

    def tools(self) -> list[Written]:
        """All functions stand in one entry, where the first of them was."""
        functions = [self.function(tool) for tool in self.request.tools if tool.foreign is None]
        written: list[Written] = []
        for tool in self.request.tools:
            if tool.foreign is None:
                if functions:
                    written.append({"functionDeclarations": functions})
                functions = []
            elif tool.dialect == NAME and tool.raw:
                written.append(msgspec.Raw(tool.raw))
            else:
                self.losses.lose(f"tool {tool.foreign} (runs at its own provider only)")
        return written

    def function(self, tool: Tool) -> Json:
        if tool.cache is not None:
            self.losses.lose("cache_control")
        if tool.strict:
            self.losses.lose("tools.strict")
        made: Json = {"name": tool.name}
        if tool.description is not None:
            made["description"] = tool.description
        if tool.schema is not None:
            google = google_schema(tool.schema)
            made["parametersJsonSchema" if google is None else "parameters"] = msgspec.Raw(tool.schema if google is None else google)
        return made

    def tool_config(self) -> Json:
        request = self.request
        if request.parallel_tool_calls is False:
            self.losses.lose("parallel_tool_calls")
        choice = request.tool_choice
        if choice is None:
            return {}
        if choice.mode != "auto" and all(tool.foreign is not None for tool in request.tools):
            self.losses.lose("tool_choice (there are no functions to choose from)")
            return {}
        return {"functionCallingConfig": _calling(choice)}

    # ---------------------------------------------------------------- the rest

    def rest(self, body: Json, generation: Json, config: Json) -> None:
        request = self.request
        if request.user is not None:
            self.losses.lose("user")
        if request.verbosity is not None:
            self.losses.lose("verbosity")
        if request.service_tier not in {None, "auto"}:
            tier = service_tier(request.service_tier or "")
            if tier is None:
                self.losses.lose("service_tier")
            else:
                body["serviceTier"] = tier
        left: dict[str, bytes] = {}
        for name, raw in request.extras.items():
            nested = _NESTED.fullmatch(name)
            if nested is not None:
                place = {"generationConfig": generation, "toolConfig": config}.get(nested[1])
                if place is None:
                    place = config.setdefault("functionCallingConfig", {})  # type: ignore[assignment]  # an object is what is there
                assert isinstance(place, dict)
                place[nested[2]] = msgspec.Raw(raw)
            elif camel_name(name) in _CARRIED:
                body[camel_name(name)] = msgspec.Raw(raw)
            else:
                left[name] = raw
        for name in loss_names(left):
            self.losses.lose(name)


def _calling(choice: ToolChoice) -> Json:
    made: Json = {"mode": _MODES[choice.mode]}
    if choice.mode == "named":
        made["allowedFunctionNames"] = [choice.name]
    return made
