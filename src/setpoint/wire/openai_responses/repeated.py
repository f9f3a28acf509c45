"""What a response object repeats of its request.

OpenAI's says again with what it was asked (https://platform.openai.com/docs/api-reference/responses/object), and clients rely on it:
LangChain reads `text.format` there to know that the text is to be parsed. Members the client left out keep their defaults.
"""

import msgspec

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_REPEATED = frozenset(
    {
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "parallel_tool_calls",
        "prompt_cache_key",
        "reasoning",
        "safety_identifier",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)
_PARTLY: dict[str, dict[str, msgspec.Raw]] = {
    "reasoning": {"effort": msgspec.Raw(b"null"), "summary": msgspec.Raw(b"null")},
    "text": {"format": msgspec.Raw(b'{"type":"text"}')},
}
"""Members of which a client may give a part; the rest is said with its defaults."""


def repeated(asked: bytes) -> dict[str, object]:
    """The members of the request `asked` that its answer says again; none when it cannot be read."""
    try:
        found = {name: raw for name, raw in _members(asked).items() if name in _REPEATED and bytes(raw) != b"null"}
        return {name: _PARTLY[name] | _members(raw) if name in _PARTLY else raw for name, raw in found.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
