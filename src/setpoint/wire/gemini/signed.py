"""Thought signatures as Gemini clients and servers take them: base64 and nothing else.

Google's SDK decodes every `thoughtSignature` and refuses what is not base64, so a signature of another provider is wrapped for the
journey through a Gemini client: base64 of `setpoint:signature:…`, or `setpoint:redacted:…` for thinking that is shown only encrypted.
"""

import base64
import binascii

from setpoint.wire.signatures import marked, own

NAME = "gemini"
_SIGNATURE = b"setpoint:signature:"
_REDACTED = b"setpoint:redacted:"
_WRAPPED = base64.b64encode(b"setpoint:").decode()
"""Nine bytes are twelve characters of base64 whatever follows."""


def read_signature(given: str) -> tuple[str, str]:
    """The marked signature and the marked redacted thinking in `given`; one of them at most is not empty."""
    if not given.startswith(_WRAPPED):
        return marked(NAME, given), ""
    try:
        inner = base64.b64decode(given.replace("-", "+").replace("_", "/") + "=" * (-len(given) % 4))
        if inner.startswith(_REDACTED):
            return "", inner[len(_REDACTED) :].decode()
        return inner.removeprefix(_SIGNATURE).decode(), ""
    except (binascii.Error, UnicodeDecodeError):
        return marked(NAME, given), ""


def for_client(signature: str, redacted: str = "") -> str:
    """A marked signature, or marked redacted thinking, as a Gemini client can hold it; empty when there is neither."""
    if redacted:
        return base64.b64encode(_REDACTED + redacted.encode("utf-8", "replace")).decode()
    if not signature:
        return ""
    return own(NAME, signature) or base64.b64encode(_SIGNATURE + signature.encode("utf-8", "replace")).decode()
