"""Content coding of upstream answers. We ask for identity, but some upstreams compress all the same."""

import zlib

from setpoint.domain.faults import Fault, FaultKind

PLAIN = (b"", b"identity")
_INFLATABLE = (b"gzip", b"x-gzip", b"deflate")
_ANY_HEADER = 47
"""zlib's window bits for gzip or zlib, whichever comes."""


def inflater(coding: bytes) -> "Inflater | Fault":
    """What undoes `coding`, or a fault for one that was not asked for."""
    if coding in _INFLATABLE:
        return Inflater()
    shown = coding[:40].decode("latin-1")
    return Fault(FaultKind.upstream_server, f"The upstream answered in an encoding that was not asked for ({shown}).")


class Inflater:
    """Undoes gzip or deflate, in pieces cut anywhere."""

    __slots__ = ("_zlib",)

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_ANY_HEADER)

    def feed(self, data: bytes, bytes_max: int) -> bytes | Fault:
        """The plain bytes of `data`; a fault when it is damaged or grows beyond `bytes_max`."""
        try:
            plain = self._zlib.decompress(data, bytes_max)
        except zlib.error:
            return Fault(FaultKind.upstream_server, "The upstream's compressed answer is damaged.")
        if self._zlib.unconsumed_tail:
            return Fault(FaultKind.upstream_server, f"The upstream's compressed answer is larger than {bytes_max} bytes.")
        return plain
