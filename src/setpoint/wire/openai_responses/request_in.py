"""A client's Responses request, from bytes to nouns.

What refers to things kept at the provider (an earlier answer, a conversation, a prompt template, a run in the background) cannot be
translated, and is refused with advice. Requests that are relayed to an upstream of the same dialect never come here.
"""

import msgspec

from setpoint.domain.chat import ChatRequest, Message, Reasoning, ResponseFormat, Sampling, Text
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import bad_body, extra_members, unsupported, utf8, wrong
from setpoint.wire.openai_responses.content_in import Unreadable
from setpoint.wire.openai_responses.input_in import Conversation
from setpoint.wire.openai_responses.tools_in import choice_of, tool_of

_NO_RAW = msgspec.Raw()


class _Format(msgspec.Struct, gc=False):
    type: str | None = None
    name: str | None = None
    description: str | None = None
    schema: msgspec.Raw = _NO_RAW
    strict: bool | None = None


class _TextConfig(msgspec.Struct, gc=False):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(msgspec.Struct, gc=False):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    context: msgspec.Raw = _NO_RAW
    mode: msgspec.Raw = _NO_RAW


class _Request(msgspec.Struct, gc=False):
    model: str
    input: str | list[msgspec.Raw] | None = None
    instructions: str | None = None
    tools: list[msgspec.Raw] | None = None
    tool_choice: msgspec.Raw = _NO_RAW
    parallel_tool_calls: bool | None = None
    text: _TextConfig | None = None
    reasoning: _Reasoning | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    include: list[str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    background: bool | None = None
    stream: bool | None = None
    stream_options: msgspec.Raw = _NO_RAW
    truncation: str | None = None
    previous_response_id: str | None = None
    conversation: msgspec.Raw = _NO_RAW
    prompt: msgspec.Raw = _NO_RAW


_KNOWN = frozenset(_Request.__struct_fields__)
_decode = msgspec.json.Decoder(_Request).decode
_UNSAID = frozenset({b"", b"null"})

LOGPROBS = "message.output_text.logprobs"
SIGNATURES = "reasoning.encrypted_content"

_ADVICE = "send the whole conversation in `input`, or use a route whose upstream speaks Responses."
_KEPT_ELSEWHERE = {
    "previous_response_id": f"the earlier answer is kept at its provider, and this one is another; {_ADVICE}",
    "conversation": f"a conversation is kept at its provider, and this one is another; {_ADVICE}",
    "prompt": "a prompt template is kept at its provider, and this one is another; "
    "send its text as `instructions` and `input`, or use a route whose upstream speaks Responses.",
    "background": "this provider cannot answer in the background; leave it out, or use a route whose upstream speaks Responses.",
}


def decode_request(body: bytes) -> ChatRequest | Fault:
    try:
        asked = _decode(utf8(body))
        extras = extra_members(body, _KNOWN)
        if (fault := _kept_elsewhere(asked)) is not None:
            return fault
        return _request(asked, extras)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return bad_body(error)
    except Unreadable as unreadable:
        return unreadable.fault


def _kept_elsewhere(asked: _Request) -> Fault | None:
    given = {
        "previous_response_id": asked.previous_response_id is not None,
        "conversation": bytes(asked.conversation) not in _UNSAID,
        "prompt": bytes(asked.prompt) not in _UNSAID,
        "background": bool(asked.background),
    }
    return next((unsupported(name, _KEPT_ELSEWHERE[name]) for name, is_given in given.items() if is_given), None)


def _request(asked: _Request, extras: dict[str, bytes]) -> ChatRequest:
    conversation = Conversation()
    notes = conversation.notes
    if asked.instructions:
        conversation.system.append(Text(asked.instructions))
    conversation.tools += [tool_of(raw, f"tools[{no}]", notes) for no, raw in enumerate(asked.tools or ())]
    if isinstance(asked.input, str):
        conversation.turns.append(Message("user", (Text(asked.input),)))
    else:
        conversation.read(asked.input or [])
    if not conversation.turns and not conversation.system:
        raise Unreadable(wrong("input", "is missing or empty; there is nothing to answer."))
    tool_choice, tools = choice_of(asked.tool_choice, tuple(conversation.tools), notes)
    _note_rest(asked, notes)
    include = asked.include or ()
    text = asked.text or _TextConfig()
    return ChatRequest(
        model=asked.model,
        messages=tuple(conversation.turns),
        system=tuple(conversation.system),
        tools=tools,
        tool_choice=tool_choice,
        parallel_tool_calls=asked.parallel_tool_calls,
        sampling=Sampling(asked.temperature, asked.top_p),
        max_tokens=asked.max_output_tokens,
        response_format=_response_format(text.format),
        reasoning=_reasoning(asked.reasoning),
        user=asked.user if asked.user is not None else asked.safety_identifier,
        logprobs=LOGPROBS in include,
        top_logprobs=asked.top_logprobs or None,
        service_tier=asked.service_tier,
        verbosity=text.verbosity,
        stream=bool(asked.stream),
        include_usage=bool(asked.stream),
        extras=extras | notes,
    )


def _note_rest(asked: _Request, notes: dict[str, bytes]) -> None:
    """Known members that no noun carries, when they ask for something."""
    for name in asked.include or ():
        if name not in {LOGPROBS, SIGNATURES}:
            notes[f"include.{name}"] = b"true"
    if asked.store:
        notes["store"] = b"true"
    if asked.truncation not in {None, "disabled"}:
        notes["truncation"] = b"true"
    if asked.user is not None and asked.safety_identifier is not None:
        notes["safety_identifier"] = msgspec.json.encode(asked.safety_identifier)
    reasoning = asked.reasoning
    if reasoning is not None:
        for name, raw in (("context", reasoning.context), ("mode", reasoning.mode)):
            if bytes(raw) not in _UNSAID:
                notes[f"reasoning.{name}"] = bytes(raw)


def _response_format(given: _Format | None) -> ResponseFormat | None:
    if given is None or given.type in {None, "text"}:
        return None
    if given.type == "json_object":
        return ResponseFormat("json_object")
    schema = bytes(given.schema)
    if given.type != "json_schema" or schema in _UNSAID:
        raise Unreadable(wrong("text.format", "expected type text, json_object, or json_schema with a schema."))
    return ResponseFormat("json_schema", schema, given.name, given.description, bool(given.strict))


def _reasoning(given: _Reasoning | None) -> Reasoning | None:
    """A wish for a summary alone leaves it to the model how much to think."""
    if given is None:
        return None
    if given.effort == "none":
        return Reasoning("disabled")
    show = True if given.summary or given.generate_summary else None
    if given.effort is None:
        return None if show is None else Reasoning("adaptive", show=show)
    return Reasoning("enabled", given.effort, show=show)
