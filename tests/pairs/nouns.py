"""Nouns compared: what an answer in nouns says, and what a request in nouns asks, facet by facet."""

import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec
from tests.pairs.said import Gathered, Said, arguments_of, squeezed

from setpoint.domain.chat import (
    Audio,
    ChatAnswer,
    ChatRequest,
    Document,
    Image,
    Message,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)


def said_of(answer: ChatAnswer) -> Said:
    gathered = Gathered()
    for part in answer.parts:
        if isinstance(part, Text):
            gathered.texts.append(part.text)
        elif isinstance(part, ToolCall):
            gathered.calls.append((part.id, part.name, arguments_of(part.arguments)))
        elif isinstance(part, Thinking):
            gathered.thoughts.append(part.text)
        elif isinstance(part, Refusal):
            gathered.refusals.append(part.text)
    usage = answer.usage
    return gathered.said(answer.finish, usage.prompt_total if usage else None, usage.completion_total if usage else None)


def fine_print(answer: ChatAnswer) -> dict[str, Any]:
    """What an answer says beside its words, under the names that `normal_forms.KEEPS` uses."""
    usage = answer.usage
    return {
        "signatures": [part.signature for part in answer.parts if isinstance(part, Thinking) and part.signature],
        "redacted": [part.redacted for part in answer.parts if isinstance(part, Thinking) and part.redacted],
        "citations": [(cited.url, cited.title) for part in answer.parts if isinstance(part, Text) for cited in part.citations],
        "logprobs": [(token.token, token.logprob) for token in answer.logprobs],
        "top_logprobs": [[(other.token, other.logprob) for other in token.top] for token in answer.logprobs],
        "stop_sequence": answer.stop_sequence,
        "cached": (usage.cached_read, usage.cache_write) if usage else (0, 0),
        "cached_read": usage.cached_read if usage else 0,
        "reasoning": usage.reasoning if usage else 0,
    }


# --------------------------------------------------------------------------------------------------------------- requests


def asked(request: ChatRequest) -> dict[str, Any]:
    """The facets of a request that dialects can keep, lose or refuse, each under the name that losses are looked up by."""
    parts = [(message.role, part) for message in request.messages for part in message.parts]
    results = [part for _, part in parts if isinstance(part, ToolResult)]
    inside = [part for result in results for part in result.parts]
    shown = _images(part for _, part in parts)
    sampling = {name: getattr(request.sampling, name) for name in request.sampling.__struct_fields__}
    return {
        "system": squeezed(text.text for text in request.system),
        "spoken": _spoken(request.messages),
        "calls": [(part.id, part.name, arguments_of(part.arguments)) for _, part in parts if isinstance(part, ToolCall)],
        "results": [(result.call_id, squeezed(part.text for part in result.parts if isinstance(part, Text))) for result in results],
        "result_errors": [result.is_error for result in results],
        "result_images": [_image(image) for image in _images(inside)],
        "images": [_image(image) for image in shown],
        "details": sorted(str(image.detail) for image in [*shown, *_images(inside)] if image.detail not in {None, "auto"}),
        "documents": [_document(part) for _, part in parts if isinstance(part, Document)],
        "document_names": [part.name for _, part in parts if isinstance(part, Document)],
        "audio": [(part.format, part.data) for _, part in parts if isinstance(part, Audio)],
        "thinking": [(part.text, part.signature, part.redacted) for _, part in parts if isinstance(part, Thinking)],
        "cache": _marks([*request.system, *(part for _, part in parts), *inside, *request.tools]),
        "tools": [(tool.name, tool.description, json.loads(tool.schema or b"null")) for tool in request.tools],
        "tools_strict": [bool(tool.strict) for tool in request.tools],
        "tool_choice": (request.tool_choice.mode, request.tool_choice.name) if request.tool_choice else None,
        "parallel_tool_calls": request.parallel_tool_calls,
        **sampling,
        "max_tokens": request.max_tokens,
        "stop": request.stop,
        "response_format": _format(request),
        "reasoning": msgspec.to_builtins(request.reasoning) if request.reasoning else None,
        "user": request.user,
        "logprobs": (request.logprobs, request.top_logprobs),
        "service_tier": request.service_tier,
        "verbosity": request.verbosity,
    }


def _spoken(messages: Iterable[Message]) -> list[tuple[str, str]]:
    """Who says what, in order; turns of one speaker in a row are one."""
    found: list[tuple[str, str]] = []
    for message in messages:
        text = squeezed(part.text for part in message.parts if isinstance(part, Text | Refusal))
        if text and found and found[-1][0] == message.role:
            found[-1] = (message.role, found[-1][1] + text)
        elif text:
            found.append((message.role, text))
    return found


def _images(parts: Iterable[Any]) -> list[Image]:
    return [part for part in parts if isinstance(part, Image)]


def _image(image: Image) -> tuple[str | None, str | None, str | None]:
    return image.url, image.data, image.media_type


def _document(document: Document) -> tuple[str | None, str | None, str | None]:
    return squeezed([document.text]) if document.text else None, document.data, document.url


def _marks(parts: Iterable[Any]) -> list[str | None]:
    return [mark.ttl for part in parts if (mark := getattr(part, "cache", None)) is not None]


def _format(request: ChatRequest) -> tuple[str, Any] | None:
    given = request.response_format
    return (given.kind, json.loads(given.schema) if given.schema else None) if given else None


LOSS_OF = {
    "system": "system",
    "spoken": "messages|document|tool_result|prefill|text|system|reasoning|thinking",
    "calls": "tool_call|id|signature|arguments",
    "results": "tool_result|tool_call|document|text",
    "result_errors": "is_error",
    "result_images": "tool_result|image",
    "images": "image|tool_result",
    "details": "detail|image",
    "documents": "document|file",
    "document_names": "document|file|name|title",
    "audio": "audio",
    "thinking": "thinking|reasoning|signature",
    "cache": r"cache|tools \(left out|tool is offered|only the named tool",
    "tools": "tools|tool|schema|description",
    "tools_strict": r"strict|tools \(left out|tool is offered|only the named tool",
    "parallel_tool_calls": "parallel",
    "user": "user|metadata|safety_identifier",
    "logprobs": "logprobs",
    "stop": "stop",
    "temperature": "temperature",
    "top_p": "top_p",
    "response_format": "response_format|schema",
}
"""Which words in a loss own up to which facet; a facet that is absent is named by its own name."""


def unexplained(before: ChatRequest, after: ChatRequest, losses: tuple[str, ...]) -> dict[str, tuple[Any, Any]]:
    """Facets that changed though no loss names them."""
    was, became = asked(before), asked(after)
    return {
        name: (was[name], became[name])
        for name in was
        if was[name] != became[name] and not any(re.search(LOSS_OF.get(name, name), loss) for loss in losses)
    }
