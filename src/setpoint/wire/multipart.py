"""The text fields of a form (multipart/form-data, RFC 7578): which model an upload is for, and naming another one there.

Nothing else of a form is looked at or changed: files pass byte for byte.
"""

import re
from typing import NamedTuple

FIELDS_MAX = 100
FIELD_BYTES_MAX = 1_024
"""A model's name is never longer; a field that is one is a file."""

# A boundary has at most 70 characters (RFC 2046 section 5.1.1).
_BOUNDARY = re.compile(rb"""(?i)multipart/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))\s*(?:;|$)""")
_NAME = re.compile(rb"""(?i)content-disposition:[^\r\n]*;\s*name="?([^";\r\n]+)"?""")


class Field(NamedTuple):
    """Where the value of a field lies in the body."""

    start: int
    end: int


def boundary_of(content_type: bytes) -> bytes | None:
    """The boundary a content type names; None when it is no form."""
    match = _BOUNDARY.match(content_type)
    return None if match is None else match[1] or match[2]


def find_field(body: bytes, boundary: bytes, name: bytes) -> Field | None:
    """The first short field of that name."""
    mark = b"--" + boundary
    at = body.find(mark)
    for _ in range(FIELDS_MAX):
        if at < 0:
            return None
        head_end = body.find(b"\r\n\r\n", at)
        following = body.find(b"\r\n" + mark, at + len(mark))
        if head_end < 0 or following < 0 or head_end >= following:
            return None
        head = body[at:head_end]
        match = _NAME.search(head)
        if match is not None and match[1] == name and b"filename" not in head and following - head_end - 4 <= FIELD_BYTES_MAX:
            return Field(head_end + 4, following)
        at = following + 2
    return None


def with_field(body: bytes, field: Field, value: bytes) -> bytes:
    """`body` with another value at `field`."""
    return b"".join((body[: field.start], value, body[field.end :]))
