"""What a request to a fake provider asks, whatever its dialect: so that one test can look at every dialect, and a reply can depend on it.

Source: the API references named in the modules of the wire formats. Only what tests look at is read; anything odd reads as absent.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

Document = dict[str, Any]


class AskedTool(msgspec.Struct, frozen=True):
    """A tool the model may call; `schema` is the JSON schema of its arguments."""

    name: str
    schema: Document


class AskedResult(msgspec.Struct, frozen=True):
    """What a tool said. `call_id` is the name of the tool where a dialect has no ids."""

    call_id: str
    text: str


class Asked(msgspec.Struct, frozen=True):
    """`prompt` is the text of the last turn of the user, `results` what tools said since, `schema` what the answer must conform to.

    `forced`: None leaves it to the model whether it calls a tool, an empty text wants any tool called, a name that one. `images` are base64
    data or URLs, of all turns.
    """

    dialect: str
    body: Document
    prompt: str = ""
    system: str = ""
    tools: tuple[AskedTool, ...] = ()
    forced: str | None = None
    results: tuple[AskedResult, ...] = ()
    schema: Document | None = None
    images: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None


class _Part(msgspec.Struct, frozen=True):
    role: str
    text: str = ""
    result: AskedResult | None = None
    image: str = ""


_DIALECTS: tuple[tuple[str, str], ...] = (
    ("openai_chat", r"/chat/completions"),
    ("openai_completions", r"/completions"),
    ("openai_responses", r"/responses"),
    ("anthropic", r"/messages(?:/count_tokens)?|/model/[^/]+/invoke(?:-with-response-stream)?|:(?:rawP|streamRawP)redict"),
    ("gemini", r":(?:generateContent|streamGenerateContent|countTokens)"),
    ("bedrock_converse", r"/model/[^/]+/converse(?:-stream)?"),
    ("cohere", r"/v2/chat"),
    ("ollama", r"/api/chat"),
)
_DIALECT_OF = [(name, re.compile(rf".*(?:{pattern})")) for name, pattern in _DIALECTS]


def dialect_of(path: str) -> str:
    """The chat dialect that is spoken at a path; empty for another path."""
    return next((name for name, pattern in _DIALECT_OF if pattern.fullmatch(path)), "")


def document(body: bytes) -> Document:
    """A body as JSON; empty when it is no object."""
    try:
        read = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return read if isinstance(read, dict) else {}


def asked(path: str, body: bytes) -> Asked:
    """A request read in the dialect of its path."""
    dialect, said = dialect_of(path), document(body)
    reader = _READERS.get(dialect)
    if reader is None:
        return Asked(dialect, said, prompt=str(said.get("prompt", "")))
    parts = list(reader.parts(said))
    last = _last_turn(parts)
    return Asked(
        dialect,
        said,
        prompt="".join(part.text for part in last if part.role == "user"),
        system="".join(part.text for part in parts if part.role in ("system", "developer")),
        tools=tuple(reader.tools(said)),
        forced=reader.forced(said),
        results=tuple(part.result for part in last if part.result),
        schema=reader.schema(said),
        images=tuple(part.image for part in parts if part.image),
        stop=tuple(reader.stop(said)),
        max_tokens=reader.max_tokens(said),
    )


def _last_turn(parts: list[_Part]) -> list[_Part]:
    """What came after the model spoke last; when that are results of tools only, the user's words before stand with them."""
    at = max((i for i, part in enumerate(parts) if part.role == "assistant"), default=-1)
    last = parts[at + 1 :]
    if any(part.text and part.role == "user" for part in last):
        return last
    words = [part for part in parts[: at + 1] if part.role == "user" and part.text]
    return [*words[-1:], *last]


def _at(said: Any, *path: str) -> Any:
    for step in path:
        said = said.get(step) if isinstance(said, dict) else None
    return said


def _list(said: Any) -> list[Any]:
    return said if isinstance(said, list) else []


def _texts(content: Any) -> str:
    """The texts of a content that is one text, or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(_text_of(part) for part in _list(content))


def _text_of(part: Any) -> str:
    for path in (("text",), ("document", "data"), ("json",)):
        if (found := _at(part, *path)) is not None:
            return found if isinstance(found, str) else msgspec.json.encode(found).decode()
    return part if isinstance(part, str) else ""


def _whole(said: Any) -> int | None:
    return said if isinstance(said, int) else None


def _stops(said: Any) -> list[str]:
    return [said] if isinstance(said, str) else _list(said)


class _Reader:
    """How one dialect says it; this one is OpenAI's chat, and what others have of it."""

    def parts(self, said: Document) -> Iterator[_Part]:
        for message in _list(said.get("messages")):
            role, content = str(_at(message, "role")), _at(message, "content")
            if role == "tool":
                yield _Part("tool", result=AskedResult(str(_at(message, "tool_call_id") or _at(message, "tool_name")), _texts(content)))
            else:
                yield _Part(role, _texts(content))
                yield from (_Part(role, image=url) for part in _list(content) if (url := self.image(part)))
                yield from (_Part(role, image=data) for data in _list(_at(message, "images")))

    def image(self, part: Any) -> str:
        return str(_at(part, "image_url", "url") or "")

    def tools(self, said: Document) -> Iterator[AskedTool]:
        for tool in _list(said.get("tools")):
            if function := _at(tool, "function"):
                yield AskedTool(str(function["name"]), function.get("parameters") or {})

    def forced(self, said: Document) -> str | None:
        choice = said.get("tool_choice")
        if isinstance(choice, dict):
            return str(_at(choice, "function", "name") or choice.get("name") or "")
        return "" if str(choice).lower() == "required" else None

    def schema(self, said: Document) -> Document | None:
        form = said.get("response_format")
        if _at(form, "type") in ("json_schema", "json_object"):
            return _at(form, "json_schema", "schema") or _at(form, "schema") or _at(form, "json_schema") or {}
        return None

    def stop(self, said: Document) -> list[str]:
        return _stops(said.get("stop") or said.get("stop_sequences"))

    def max_tokens(self, said: Document) -> int | None:
        found = (said.get(name) for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"))
        return next((limit for limit in found if limit is not None and _whole(limit) is not None), None)


class _Ollama(_Reader):
    def schema(self, said: Document) -> Document | None:
        form = said.get("format")
        return form if isinstance(form, dict) else {} if form == "json" else None

    def stop(self, said: Document) -> list[str]:
        return _stops(_at(said, "options", "stop"))

    def max_tokens(self, said: Document) -> int | None:
        return _whole(_at(said, "options", "num_predict"))


class _Anthropic(_Reader):
    def parts(self, said: Document) -> Iterator[_Part]:
        yield _Part("system", _texts(said.get("system")))
        for message in _list(said.get("messages")):
            role, content = str(_at(message, "role")), _at(message, "content")
            for block in [{"text": content}] if isinstance(content, str) else _list(content):
                if _at(block, "type") == "tool_result":
                    yield _Part(role, result=AskedResult(str(block["tool_use_id"]), _texts(block.get("content"))))
                elif _at(block, "type") == "image":
                    yield _Part(role, image=str(_at(block, "source", "data") or _at(block, "source", "url")))
                else:
                    yield _Part(role, str(_at(block, "text") or ""))

    def tools(self, said: Document) -> Iterator[AskedTool]:
        for tool in _list(said.get("tools")):
            yield AskedTool(str(tool["name"]), tool.get("input_schema") or {})

    def forced(self, said: Document) -> str | None:
        choice = said.get("tool_choice")
        return str(_at(choice, "name") or "") if _at(choice, "type") in ("any", "tool") else None

    def schema(self, said: Document) -> Document | None:
        found = _at(said, "output_config", "format", "schema") or _at(said, "output_format", "schema")
        return found if isinstance(found, dict) else None


class _Gemini(_Reader):
    def parts(self, said: Document) -> Iterator[_Part]:
        yield _Part("system", _texts(_at(said.get("systemInstruction"), "parts")))
        for content in _list(said.get("contents")):
            role = "assistant" if _at(content, "role") == "model" else "user"
            for part in _list(_at(content, "parts")):
                if answered := _at(part, "functionResponse"):
                    text = msgspec.json.encode(answered.get("response")).decode()
                    yield _Part(role, result=AskedResult(str(answered.get("id") or answered["name"]), text))
                else:
                    image = _at(part, "inlineData", "data") or _at(part, "fileData", "fileUri") or ""
                    yield _Part(role, str(_at(part, "text") or ""), image=str(image))

    def tools(self, said: Document) -> Iterator[AskedTool]:
        for group in _list(said.get("tools")):
            for tool in _list(_at(group, "functionDeclarations")):
                # Google reads both spellings of every member, and its own package writes this one so.
                schema = tool.get("parametersJsonSchema") or tool.get("parameters_json_schema") or tool.get("parameters")
                yield AskedTool(str(tool["name"]), schema or {})

    def forced(self, said: Document) -> str | None:
        setting = _at(said, "toolConfig", "functionCallingConfig")
        allowed = _list(_at(setting, "allowedFunctionNames"))
        return (str(allowed[0]) if len(allowed) == 1 else "") if _at(setting, "mode") == "ANY" else None

    def schema(self, said: Document) -> Document | None:
        setting = said.get("generationConfig")
        if _at(setting, "responseMimeType") != "application/json":
            return None
        return _at(setting, "responseJsonSchema") or _at(setting, "responseSchema") or {}

    def stop(self, said: Document) -> list[str]:
        return _stops(_at(said, "generationConfig", "stopSequences"))

    def max_tokens(self, said: Document) -> int | None:
        return _whole(_at(said, "generationConfig", "maxOutputTokens"))


class _Responses(_Reader):
    def parts(self, said: Document) -> Iterator[_Part]:
        yield _Part("system", str(said.get("instructions") or ""))
        given = said.get("input")
        for item in [{"role": "user", "content": given}] if isinstance(given, str) else _list(given):
            if _at(item, "type") == "function_call_output":
                yield _Part("tool", result=AskedResult(str(item["call_id"]), _texts(item.get("output"))))
            elif _at(item, "type") in (None, "message"):
                content = item.get("content")
                yield _Part(str(item.get("role")), _texts(content))
                yield from (_Part("user", image=str(part["image_url"])) for part in _list(content) if _at(part, "image_url"))
            else:
                yield _Part("assistant")

    def tools(self, said: Document) -> Iterator[AskedTool]:
        for tool in _list(said.get("tools")):
            if _at(tool, "type") == "function":
                yield AskedTool(str(tool["name"]), tool.get("parameters") or {})

    def schema(self, said: Document) -> Document | None:
        form = _at(said, "text", "format")
        return form.get("schema") or {} if _at(form, "type") in ("json_schema", "json_object") else None


class _Bedrock(_Reader):
    def parts(self, said: Document) -> Iterator[_Part]:
        yield _Part("system", _texts(said.get("system")))
        for message in _list(said.get("messages")):
            role = str(_at(message, "role"))
            for block in _list(_at(message, "content")):
                if answered := _at(block, "toolResult"):
                    yield _Part(role, result=AskedResult(str(answered["toolUseId"]), _texts(answered.get("content"))))
                else:
                    yield _Part(role, str(_at(block, "text") or ""), image=str(_at(block, "image", "source", "bytes") or ""))

    def tools(self, said: Document) -> Iterator[AskedTool]:
        for tool in _list(_at(said, "toolConfig", "tools")):
            if spec := _at(tool, "toolSpec"):
                yield AskedTool(str(spec["name"]), _at(spec, "inputSchema", "json") or {})

    def forced(self, said: Document) -> str | None:
        choice = _at(said, "toolConfig", "toolChoice") or {}
        return str(_at(choice, "tool", "name") or "") if {"any", "tool"} & set(choice) else None

    def schema(self, said: Document) -> Document | None:
        written = _at(said, "outputConfig", "textFormat", "structure", "jsonSchema", "schema")
        return document(written.encode()) if isinstance(written, str) else None

    def stop(self, said: Document) -> list[str]:
        return _stops(_at(said, "inferenceConfig", "stopSequences"))

    def max_tokens(self, said: Document) -> int | None:
        return _whole(_at(said, "inferenceConfig", "maxTokens"))


_READERS: dict[str, _Reader] = {
    "openai_chat": _Reader(),
    "openai_responses": _Responses(),
    "anthropic": _Anthropic(),
    "gemini": _Gemini(),
    "bedrock_converse": _Bedrock(),
    "cohere": _Reader(),
    "ollama": _Ollama(),
}
