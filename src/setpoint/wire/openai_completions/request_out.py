"""A completion request for an upstream, from nouns to bytes: one text of a user is all it can ask."""

import msgspec

from setpoint.domain.capabilities import Capabilities
from setpoint.domain.chat import ChatRequest, Text
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import loss_names, unsupported
from setpoint.wire.dialect import Encoded
from setpoint.wire.openai_completions.request_in import PROMPT

_encode = msgspec.json.Encoder().encode
Json = dict[str, object]

DEFAULT_MAX_TOKENS = 1_024
"""The API's own default is 16 tokens, which no client of another dialect would expect; models here have room for some 4,000 in all."""

STOP_SEQUENCES_MAX = 4
LOGPROBS_MAX = 5
_OWN = ("best_of", "logit_bias")
"""Members of this dialect that the nouns do not have; among the extras they are sent as they came."""


def encode_request(request: ChatRequest, model: str, stream: bool, can: Capabilities) -> Encoded | Fault:
    prompt = _prompt(request)
    if isinstance(prompt, Fault):
        return prompt
    losses: dict[str, None] = {}
    body: Json = {"model": model, "prompt": prompt}
    _limits(request, body, losses)
    _sampling(request, body, losses)
    if request.n != 1:
        body["n"] = request.n
    if request.user is not None:
        body["user"] = request.user
    for name, value in (("reasoning", request.reasoning), ("service_tier", request.service_tier), ("verbosity", request.verbosity)):
        if value is not None:
            losses[name] = None
    if stream:
        body["stream"] = True
        if can.stream_usage == "ask":
            body["stream_options"] = {"include_usage": True}
    body |= {name: msgspec.Raw(request.extras[name]) for name in _OWN if name in request.extras}
    losses |= dict.fromkeys(loss_names({name: raw for name, raw in request.extras.items() if name not in {*_OWN, PROMPT}}))
    return Encoded(_encode(body), tuple(losses))


def _prompt(request: ChatRequest) -> str | Fault:
    """The one text of the one user message; everything else would change the question."""
    if request.system:
        return unsupported("messages", "a completions model takes one text and no instructions beside it.")
    if len(request.messages) != 1 or request.messages[0].role != "user":
        return unsupported("messages", "a completions model takes one text of a user and no conversation.")
    parts = request.messages[0].parts
    texts = [part.text for part in parts if isinstance(part, Text)]
    if len(texts) != len(parts):
        return unsupported("messages.content", "a completions model takes text only.")
    if request.tools:
        return unsupported("tools", "a completions model knows no tools.")
    if request.response_format is not None:
        return unsupported("response_format", "a completions model cannot be held to a form.")
    return "".join(texts)


def _limits(request: ChatRequest, body: Json, losses: dict[str, None]) -> None:
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    elif PROMPT not in request.extras:
        body["max_tokens"] = DEFAULT_MAX_TOKENS
        losses[f"max_tokens (set to {DEFAULT_MAX_TOKENS})"] = None
    if len(request.stop) > STOP_SEQUENCES_MAX:
        losses[f"stop (only the first {STOP_SEQUENCES_MAX})"] = None
    if request.stop:
        body["stop"] = list(request.stop[:STOP_SEQUENCES_MAX])
    if any(message.name is not None for message in request.messages):
        losses["messages.name"] = None
    if any(isinstance(part, Text) and part.cache is not None for part in request.messages[0].parts):
        losses["cache_control"] = None


def _sampling(request: ChatRequest, body: Json, losses: dict[str, None]) -> None:
    given = request.sampling
    for name in ("temperature", "top_p", "frequency_penalty", "presence_penalty", "seed"):
        if (value := getattr(given, name)) is not None:
            body[name] = value
    if given.top_k is not None:
        losses["top_k"] = None
    if request.logprobs:
        wanted = request.top_logprobs or 0
        if wanted > LOGPROBS_MAX:
            losses[f"top_logprobs (lowered to {LOGPROBS_MAX})"] = None
        body["logprobs"] = min(wanted, LOGPROBS_MAX)
