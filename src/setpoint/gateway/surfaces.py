"""The client-facing APIs a worker serves by itself."""

import msgspec

from setpoint.domain.plan import DialectName
from setpoint.domain.trace import Surface
from setpoint.gateway.envelope import ChatEnvelope, EmbeddingsEnvelope, Envelope


class HotSurface:
    """One inference surface: which dialect its clients speak, and where an upstream of the same dialect serves it."""

    __slots__ = ("decode", "dialect", "name", "number", "path", "streams")

    def __init__(self, number: Surface, dialect: DialectName, path: str, envelope: type[Envelope], *, streams: bool) -> None:
        self.number = number
        self.name = number.name
        self.dialect = dialect
        self.path = path
        self.streams = streams
        self.decode = msgspec.json.Decoder(envelope).decode


CHAT = HotSurface(Surface.openai_chat, "openai_chat", "/chat/completions", ChatEnvelope, streams=True)
MESSAGES = HotSurface(Surface.anthropic_messages, "anthropic", "/messages", ChatEnvelope, streams=True)
EMBEDDINGS = HotSurface(Surface.openai_embeddings, "openai_chat", "/embeddings", EmbeddingsEnvelope, streams=False)

HOT_PATHS: dict[bytes, HotSurface] = {
    prefix + surface.path.encode(): surface for surface in (CHAT, MESSAGES, EMBEDDINGS) for prefix in (b"/v1", b"")
}
"""With and without `/v1`, as SDKs are configured both ways."""
