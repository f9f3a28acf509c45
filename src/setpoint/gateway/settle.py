"""What an answer cost, and its plain bytes: the end of every upstream call."""

from setpoint.domain.faults import Fault
from setpoint.domain.money import cost_nanousd
from setpoint.domain.usage import BYTES_PER_TOKEN, Usage
from setpoint.gateway.coding import PLAIN, inflater
from setpoint.gateway.exchange import Exchange
from setpoint.gateway.published import Candidate
from setpoint.gateway.upstream import Call


def settle(exchange: Exchange, candidate: Candidate, usage: Usage | None) -> None:
    """Price the usage; without a usage or a price the cost stays unknown. Figures that cannot be true are none."""
    if usage is not None and not usage.credible:
        usage = None
    exchange.usage = usage
    if usage is not None and candidate.price is not None:
        exchange.cost_nanousd = cost_nanousd(candidate.price, usage)


def decoded(call: Call) -> bytes | Fault:
    """The body of a held answer without content coding."""
    body = call.body()
    if call.content_encoding in PLAIN:
        return body
    undo = inflater(call.content_encoding)
    return undo if isinstance(undo, Fault) else undo.feed(body, call.answer_bytes_max)


def estimated_usage(exchange: Exchange, answer: bytes) -> Usage | None:
    """What an answer used whose provider does not say (Google's embeddings, some servers' chat): by its length."""
    kind = exchange.surface.kind
    if kind == "embeddings":
        return Usage(input=max(1, len(exchange.body) // BYTES_PER_TOKEN), estimated=True)
    if kind == "chat":
        return Usage(input=max(1, len(exchange.body) // BYTES_PER_TOKEN), output=max(1, len(answer) // BYTES_PER_TOKEN), estimated=True)
    return None
