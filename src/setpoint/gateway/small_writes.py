"""One large piece of a stream as several small ones, for clients and proxies with small buffers.

A cut is made behind an event where the next bytes hold the end of one, else behind a line, else between two characters; never inside of
one, so that a client that decodes piece by piece never meets half a character. The bytes themselves stay as they are.
"""

from collections.abc import Iterator

_ENDS = (b"\n\n", b"\r\n\r\n", b"\n")
"""Of events and of lines, the best first."""
_CHARACTER_BYTES_MAX = 4


def small_writes(data: bytes, most: int) -> Iterator[bytes]:
    """`data` in pieces of at most `most` bytes (4 or more)."""
    at = 0
    while len(data) - at > most:
        end = _end(data, at, at + most)
        yield data[at:end]
        at = end
    if at < len(data):
        yield data[at:]


def _end(data: bytes, at: int, until: int) -> int:
    for mark in _ENDS:
        found = data.rfind(mark, at, until)
        if found >= 0:
            return found + len(mark)
    for end in range(until, max(at, until - _CHARACTER_BYTES_MAX), -1):
        if data[end] & 0xC0 != 0x80:  # not a byte that continues a character
            return end
    return until  # no text at all
