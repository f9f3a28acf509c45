"""What is tried when a target turned a request away for a reason that another one may not have.

A prompt that is too long, a request that a provider's filter refuses, and an answer that is a refusal are no failures: the same again
gives the same. A route may name targets for each of these causes, and a request its own further models. Their calls count among
`retries.attempts` as all others. What a refusal has used and cost is part of what the exchange did; when nobody says more than the one
that refused, its refusal is the answer.

What fails goes to the next target by itself (`stages.attempt`); targets for errors only stand behind the others.
"""

from collections.abc import Awaitable, Callable, Iterable

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.usage import Usage
from setpoint.gateway.decision import Cause, Decision, Refused
from setpoint.gateway.exchange import Answer, Exchange, Result
from setpoint.gateway.published import Candidate
from setpoint.gateway.stack import Handler
from setpoint.wire.dialect import StreamTap

REFUSALS = frozenset(
    {
        "content_filter", "refusal", "sensitive", "content_filtered", "guardrail_intervened", "error_toxic", "safety", "blocklist",
        "prohibited_content", "spii", "image_safety", "image_prohibited_content", "recitation", "image_recitation",
        "model_armor", "escalation",
    }
)  # fmt: skip
"""The words in which providers say that they would not answer, in lower case."""

_CAUSES: dict[FaultKind, Cause] = {FaultKind.context_length: "context_window", FaultKind.content_filter: "content_filter"}

OnTurnedAway = Callable[[Exchange, Candidate, Fault, float], None]
"""Told of each call that was turned away and is followed by another, with how long it took."""


def with_fallbacks(inner: Handler, turned_away: OnTurnedAway, now_s: Callable[[], float]) -> Handler:
    """`inner` makes the calls of one list of candidates. An exchange without chains does not notice this."""

    async def follow(exchange: Exchange, decision: Decision) -> Result:
        try:
            while True:
                began_s = now_s()
                result = await inner(exchange)
                candidate = exchange.candidate
                fault = next_step(exchange, decision, result)
                if fault is None or candidate is None:
                    return the_refusal(exchange, decision) if isinstance(result, Fault) and decision.kept is not None else result
                turned_away(exchange, candidate, fault, now_s() - began_s)
        finally:
            add_spent(exchange, decision)

    def handle(exchange: Exchange) -> Awaitable[Result]:
        decision = exchange.decision
        return inner(exchange) if decision is None or decision.chains is None else follow(exchange, decision)

    return handle


def next_step(exchange: Exchange, decision: Decision, result: Result) -> Fault | None:
    """Sets the candidates of the next cause's chain and says what the call is told of as; None when `result` stands."""
    candidate = exchange.candidate
    cause = cause_of(exchange, decision, result)
    if cause is None or candidate is None:
        return None
    further = chain_of(exchange, decision, cause, candidate)
    if not further:
        return None
    decision.tried.add(candidate.name)
    decision.cause = cause
    if cause == "refusal":
        fault = result if isinstance(result, Fault) else refusal_fault(exchange.finish)
        _keep(exchange, decision, result)
    else:
        assert isinstance(result, Fault)
        fault = result
    exchange.candidates = further
    exchange.moves += 1
    return fault


def cause_of(exchange: Exchange, decision: Decision, result: Result) -> Cause | None:
    """Why another target may do what this one did not; None when there is no such reason, or the client has seen something already."""
    if isinstance(result, Fault):
        if exchange.streamed:
            return None
        return "refusal" if result is decision.refused else _CAUSES.get(result.kind)
    if result.streamed or result.status != 200 or exchange.surface.kind != "chat":
        return None
    return "refusal" if is_refusal(exchange, result) else None


def chain_of(exchange: Exchange, decision: Decision, cause: Cause, candidate: Candidate) -> tuple[Candidate, ...]:
    """Who is left to try for `cause` when `candidate` has turned the request away; nobody when no call is left."""
    resolved, chains = exchange.route, decision.chains
    if resolved is None or chains is None or exchange.attempts >= resolved.route.retries.attempts:
        return ()
    tried = {*decision.tried, candidate.name}
    return tuple(each for each in chains.get(cause, ()) if each.name not in tried)


def early_refusal(exchange: Exchange, candidate: Candidate, tap: StreamTap) -> Fault | None:
    """The fault that stands for a stream that ends in a refusal before it said anything, if another target is there to ask."""
    decision = exchange.decision
    if decision is None or decision.chains is None or tap.content_started or tap.finish.lower() not in REFUSALS:
        return None
    if not chain_of(exchange, decision, "refusal", candidate):
        return None
    decision.refused = refusal_fault(tap.finish)
    return decision.refused


def refusal_fault(finish: str) -> Fault:
    text = f"The model would not answer this request ({finish or 'a refusal'})."
    return Fault(FaultKind.content_filter, text, upstream_status=200)


# What a refusal looks like


class _Message(msgspec.Struct):
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None


class _ChatAnswer(msgspec.Struct):
    choices: list[_Choice] = []


class _Part(msgspec.Struct):
    type: str = ""


class _Item(msgspec.Struct):
    content: list[_Part] | None = None


class _ResponsesAnswer(msgspec.Struct):
    output: list[_Item] = []


_chat_answer = msgspec.json.Decoder(_ChatAnswer).decode
_responses_answer = msgspec.json.Decoder(_ResponsesAnswer).decode


def is_refusal(exchange: Exchange, answer: Answer) -> bool:
    """Whether a whole answer is a refusal: by how it ended, or, where that has a place of its own, in words."""
    if exchange.finish.lower() in REFUSALS:
        return True
    if b"refusal" not in answer.body:
        return False
    try:
        match exchange.surface.dialect:
            case "openai_chat":
                choices = _chat_answer(answer.body).choices[:1]
                return any(choice.message is not None and bool(choice.message.refusal) for choice in choices)
            case "openai_responses":
                items: Iterable[_Item] = _responses_answer(answer.body).output
                return any(part.type == "refusal" for item in items for part in item.content or ())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # another shape than the dialect's: no refusal that anybody could see
    return False


# What it used and cost


def _keep(exchange: Exchange, decision: Decision, result: Result) -> None:
    """The first refusal is kept as the answer in reserve; what each of them used is added up."""
    if decision.kept is None:
        decision.kept = Refused(result, exchange.candidate, exchange.model_served, exchange.finish)
        decision.spent_nanousd = exchange.cost_nanousd
        decision.spent = exchange.usage
    else:
        decision.spent_nanousd = _sum(decision.spent_nanousd, exchange.cost_nanousd)
        decision.spent = both(decision.spent, exchange.usage)
    exchange.usage, exchange.cost_nanousd = None, -1
    exchange.model_served = exchange.finish = ""
    decision.refused = None


def the_refusal(exchange: Exchange, decision: Decision) -> Result:
    """Nobody said more: the kept refusal, as if it had been the end."""
    kept = decision.kept
    assert kept is not None
    exchange.candidate, exchange.model_served, exchange.finish = kept.candidate, kept.model_served, kept.finish
    exchange.usage, exchange.cost_nanousd = None, 0
    result: Result = kept.result
    return result


def add_spent(exchange: Exchange, decision: Decision) -> None:
    """To the last call's figures those of the refusals before it. A cost of which a part is unknown is unknown."""
    if decision.kept is None:
        return
    answered = exchange.usage is not None or bool(exchange.finish)
    exchange.cost_nanousd = _sum(decision.spent_nanousd, exchange.cost_nanousd) if answered else decision.spent_nanousd
    exchange.usage = both(decision.spent, exchange.usage)


def both(one: Usage | None, other: Usage | None) -> Usage | None:
    if one is None or other is None:
        return one or other
    figures = {name: getattr(one, name) + getattr(other, name) for name in one.__struct_fields__ if name != "estimated"}
    return Usage(**figures, estimated=one.estimated or other.estimated)


def _sum(one: int, other: int) -> int:
    return -1 if one < 0 or other < 0 else one + other
