"""The members of contents and parts that this program reads (https://ai.google.dev/api/caching#Content)."""

import msgspec

NO_RAW = msgspec.Raw()


class Blob(msgspec.Struct, gc=False, rename="camel"):
    mime_type: str | None = None
    data: str | None = None
    display_name: str | None = None


class FileData(msgspec.Struct, gc=False, rename="camel"):
    mime_type: str | None = None
    file_uri: str | None = None
    display_name: str | None = None


class PartialArg(msgspec.Struct, gc=False, rename="camel"):
    """A piece of the arguments of a call that comes in pieces (Vertex, `streamFunctionCallArguments`)."""

    json_path: str | None = None
    string_value: str | None = None
    number_value: int | float | None = None
    bool_value: bool | None = None
    null_value: str | int | None = None
    will_continue: bool | None = None


class FunctionCall(msgspec.Struct, gc=False, rename="camel"):
    id: str | None = None
    name: str | None = None
    args: msgspec.Raw = NO_RAW
    partial_args: list[PartialArg] | None = None
    will_continue: bool | None = None


class ResultPart(msgspec.Struct, gc=False, rename="camel"):
    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(msgspec.Struct, gc=False, rename="camel"):
    id: str | None = None
    name: str | None = None
    response: msgspec.Raw = NO_RAW
    parts: list[ResultPart | None] | None = None


class MediaResolution(msgspec.Struct, gc=False, rename="camel"):
    level: str | None = None


class Part(msgspec.Struct, gc=False, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    media_resolution: MediaResolution | str | None = None


class Content(msgspec.Struct, gc=False):
    """`parts` is a list as a rule; a single part without the list is taken too, as Google's server takes it."""

    role: str | None = None
    parts: msgspec.Raw = NO_RAW


decode_part = msgspec.json.Decoder(Part).decode
_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def given(raw: msgspec.Raw | bytes) -> bytes:
    """The bytes of a member that may be absent or null; then empty."""
    found = bytes(raw)
    return b"" if found == b"null" else found


def items(raw: msgspec.Raw | bytes) -> list[bytes]:
    """A repeated member: the items of its list without nulls, or the one item that stands without a list."""
    found = given(raw)
    if not found:
        return []
    if not found.lstrip().startswith(b"["):
        return [found]
    return [bytes(item) for item in _raw_list(found) if bytes(item) != b"null"]


def compact(raw: bytes) -> str:
    """JSON without white space between its tokens; everything else as it was written."""
    return bytes(msgspec.json.format(raw, indent=-1)).decode("utf-8", "replace")
