"""Signatures of thinking, and whose they are.

Providers sign what their models thought, and refuse a later request whose signature is not their own: a conversation that began at
one and goes on at another fails on it. So inside, a signature carries the dialect it counts in, as `dialect:signature`; raw ones are
base64 and hold no colon. A client of that dialect sees the raw text, any other client sees the marked one and sends it back as it is; an
upstream gets only its own.

Claude's signatures count wherever Claude runs (Anthropic, Bedrock, Vertex), so Bedrock's are marked `anthropic` too
(https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking, "Preserving thinking blocks").
"""

_KNOWN = ("anthropic", "gemini", "openai_responses")


def marked(dialect: str, signature: str) -> str:
    """A signature read from `dialect`: marked as its own, unless it came back marked as another one's. Empty stays empty."""
    return signature if not signature or _owner(signature) else f"{dialect}:{signature}"


def shown(dialect: str, signature: str) -> str:
    """A marked signature as a client of `dialect` gets it."""
    return signature[len(dialect) + 1 :] if _owner(signature) == dialect else signature


def own(dialect: str, signature: str) -> str:
    """A marked signature as an upstream of `dialect` takes it; empty when it is another one's."""
    return signature[len(dialect) + 1 :] if _owner(signature) == dialect else ""


def _owner(signature: str) -> str:
    owner, colon, _ = signature.partition(":")
    return owner if colon and owner in _KNOWN else ""
