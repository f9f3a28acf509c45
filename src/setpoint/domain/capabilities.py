"""What a vendor does differently from the dialect it speaks, as data.

Many vendors speak the same dialect and each leaves something out or spells it in its own way. An encoder looks here, so a vendor is a
configuration entry and no code. The defaults are those of the dialect's own vendor.
"""

from typing import Literal

import msgspec


class Capabilities(msgspec.Struct, frozen=True, omit_defaults=True):
    """Facts about one vendor's form of a dialect."""

    stream_usage: Literal["ask", "always"] = "ask"
    """ask: the stream's usage has to be asked for (`stream_options`). always: it comes by itself, and asking may be refused."""


STANDARD = Capabilities()
