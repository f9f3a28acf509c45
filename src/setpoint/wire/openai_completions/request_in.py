"""A client's completion request, from bytes to nouns: the prompt becomes one user message.

What a chat model makes of a message is not what a bare model makes of a text, so `prompt` is kept among the extras and every target
names it as said differently.
"""

import msgspec

from setpoint.domain.chat import ChatRequest, Message, Sampling, Text
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import bad_body, extra_members, unsupported, utf8, wrong


class _StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None


class _Request(msgspec.Struct, gc=False):
    model: str
    prompt: str | list[str | int | list[int]] | None = None
    suffix: str | None = None
    echo: bool | None = None
    best_of: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    logprobs: int | None = None
    n: int | None = None
    user: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


_KNOWN = frozenset(_Request.__struct_fields__)
_decode = msgspec.json.Decoder(_Request).decode
PROMPT = "prompt"
_SAYS_NOTHING = (b"{}", b"[]")
"""Values by which clients spell out a default, such as an empty `logit_bias`."""


def decode_request(body: bytes) -> ChatRequest | Fault:
    try:
        asked = _decode(utf8(body))
        extras = {name: raw for name, raw in extra_members(body, _KNOWN).items() if raw not in _SAYS_NOTHING}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return bad_body(error)
    prompt = _prompt(asked.prompt)
    if isinstance(prompt, Fault):
        return prompt
    if asked.suffix:
        return unsupported("suffix", "chat models continue a text, they cannot fill a gap in one; leave it out.")
    if asked.echo:
        return unsupported("echo", "chat models do not repeat the prompt; leave it out.")
    if asked.best_of is not None and asked.best_of > (asked.n or 1):
        extras["best_of"] = b"%d" % asked.best_of
    extras[PROMPT] = b'"text"'
    return ChatRequest(
        model=asked.model,
        messages=(Message("user", (Text(prompt),)),),
        sampling=Sampling(asked.temperature, asked.top_p, asked.top_k, asked.frequency_penalty, asked.presence_penalty, asked.seed),
        max_tokens=asked.max_tokens,
        stop=(asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ()),
        user=asked.user,
        n=1 if asked.n is None else asked.n,
        logprobs=asked.logprobs is not None,
        top_logprobs=asked.logprobs,
        stream=bool(asked.stream),
        include_usage=bool(asked.stream_options and asked.stream_options.include_usage),
        extras=extras,
    )


def _prompt(given: str | list[str | int | list[int]] | None) -> str | Fault:
    """The one text of a prompt. Several prompts would be several questions."""
    if given is None:
        return wrong(PROMPT, "is missing; it is required.")
    if isinstance(given, str):
        return given
    if given and not isinstance(given[0], str):
        return unsupported(PROMPT, "token numbers mean something to one model's own tokenizer only; send the text.")
    if len(given) != 1:
        return unsupported(PROMPT, f"a list of {len(given)} prompts is so many questions; send one prompt a request.")
    return str(given[0])
