"""What is asked? Decodes the few members of the body that the stages below look at."""

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.gateway.envelope import malformed
from setpoint.gateway.exchange import Exchange

NOT_UTF8 = Fault(FaultKind.bad_request, "The request body is not valid JSON: it is not UTF-8.")
TOO_DEEP = Fault(FaultKind.bad_request, "The request body is nested too deeply to be read.")
NO_BODY = Fault(FaultKind.bad_request, "The request has no body; this endpoint takes a JSON object.")


def read(exchange: Exchange) -> Fault | None:
    """Sets `exchange.envelope`; 400 when the body is not what the surface takes."""
    body = exchange.body
    if not body:
        return NO_BODY
    try:
        exchange.envelope = exchange.surface.decode(body)
    except msgspec.MsgspecError as error:
        return malformed(error)
    except UnicodeDecodeError:
        return NOT_UTF8
    except RecursionError:
        return TOO_DEEP
    return None
