"""The credential of an upstream at AWS as one text, so that it can be sealed like any other: a JSON object."""

from dataclasses import dataclass, field

import msgspec


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """An access key and its secret; the session token is there when both are temporary (AWS STS)."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def write_aws_keys(keys: AwsKeys) -> str:
    """The text that `read_aws_keys` reads."""
    return msgspec.json.encode(keys).decode()


def read_aws_keys(text: str) -> AwsKeys:
    """Raises ValueError, which says what is wrong and nothing of the content."""
    try:
        keys = msgspec.json.decode(text, type=AwsKeys)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise ValueError("it is not a JSON object with access_key and secret_key") from None
    for name, value in (("access_key", keys.access_key), ("secret_key", keys.secret_key), ("session_token", keys.session_token)):
        if value == "" or (value is not None and not (value.isascii() and value.isprintable() and " " not in value)):
            raise ValueError(f"its {name} is empty, or holds a space, a line break or another character that no such key has")
    return keys
