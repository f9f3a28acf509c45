"""What a call that did not come to its end will be billed for: its prompt always, and what it has said so far.

Providers bill a request from its first token on, also one that is hung up on. The figures they had stated until then count; the rest is
estimated by length, and marked so.
"""

from msgspec.structs import replace

from setpoint.domain.faults import Fault
from setpoint.domain.stream import RefusalDelta, StreamEvent, TextDelta, ThinkingDelta, ToolCallDelta
from setpoint.domain.usage import BYTES_PER_TOKEN, Usage
from setpoint.gateway.counting import estimate
from setpoint.gateway.dialects import DIALECTS
from setpoint.gateway.exchange import Exchange
from setpoint.gateway.relay import Relay


def prompt_tokens(exchange: Exchange) -> int:
    """Of the request, by its length; pictures and documents count as what they usually cost."""
    request = DIALECTS[exchange.surface.dialect].decode_request(exchange.body)
    return max(1, len(exchange.body) // BYTES_PER_TOKEN) if isinstance(request, Fault) else estimate(request)


def unfinished_usage(exchange: Exchange, known: Usage | None, said_tokens: int) -> Usage:
    """The usage of a call that ended early. `known` is what its provider stated, `said_tokens` an estimate of what it said."""
    usage = known or Usage()
    if not usage.prompt_total:
        usage = replace(usage, input=prompt_tokens(exchange))
    return replace(usage, output=usage.output + max(0, said_tokens - usage.completion_total), estimated=True)


def said_tokens(exchange: Exchange, relay: Relay) -> int:
    """What the present call of a stream has said. Read from the bytes that are kept for the trace, else a token an event."""
    if exchange.continued is not None:
        return exchange.continued.tokens
    kept = relay.kept()
    if not kept:
        return max(0, relay.tap.events - 1)
    size = sum(_text_bytes(event) for event in DIALECTS[exchange.surface.dialect].stream_decoder().feed(kept))
    return -(-size * relay.bytes // (len(kept) * BYTES_PER_TOKEN))


def _text_bytes(event: StreamEvent) -> int:
    if isinstance(event, TextDelta | ThinkingDelta | RefusalDelta):
        return len(event.text.encode("utf-8", "replace"))
    return len(event.arguments.encode("utf-8", "replace")) if isinstance(event, ToolCallDelta) else 0
