"""JSON of one dialect that is carried unread, to be said again in it.

What is set aside raw was not looked at: it may hold bytes that are no UTF-8, and line ends between its members, which would break an
event of a stream in two.
"""

import msgspec


def carried(raw: bytes | msgspec.Raw) -> bytes:
    """`raw`, which is valid JSON but for its encoding, as UTF-8 on one line."""
    given = bytes(raw)
    try:
        given.decode()
    except UnicodeDecodeError:
        given = given.decode("utf-8", "replace").encode()
    return given.replace(b"\n", b" ").replace(b"\r", b" ")  # in valid JSON they are white space and nothing else
