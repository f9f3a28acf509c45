"""What is asked? Decodes the few members of the body that the stages below look at."""

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.gateway.envelope import malformed
from setpoint.gateway.exchange import Exchange, Result
from setpoint.gateway.stack import Handler, Stage

NO_BODY = Fault(FaultKind.bad_request, "The request has no body; this endpoint takes a JSON object.")


def read() -> Stage:
    """Sets `exchange.envelope`, or ends the exchange with 400."""

    def stage(inner: Handler) -> Handler:
        async def handle(exchange: Exchange) -> Result:
            body = exchange.body
            if not body:
                return NO_BODY
            try:
                exchange.envelope = exchange.surface.decode(body)
            except msgspec.MsgspecError as error:
                return malformed(error)
            except UnicodeDecodeError:
                return Fault(FaultKind.bad_request, "The request body is not valid JSON: it is not UTF-8.")
            return await inner(exchange)

        return handle

    return stage
