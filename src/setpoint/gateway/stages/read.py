"""What is asked? Decodes the few members of the body that the stages below look at."""

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.gateway.envelope import Envelope, malformed
from setpoint.gateway.exchange import Exchange
from setpoint.gateway.passing import read_passing
from setpoint.gateway.preferences import first_model
from setpoint.gateway.surfaces import Place
from setpoint.wire.splice import set_members

NOT_UTF8 = Fault(FaultKind.bad_request, "The request body is not valid JSON: it is not UTF-8.")
TOO_DEEP = Fault(FaultKind.bad_request, "The request body is nested too deeply to be read.")
NO_MODEL = Fault(FaultKind.bad_request, "The request body does not name a model: `model` is missing or empty.", "model")
NO_BODY = Fault(FaultKind.bad_request, "The request has no body; this endpoint takes a JSON object.")


def read(exchange: Exchange) -> Fault | None:
    """Sets `exchange.envelope`; 400 when the body is not what the surface takes."""
    if exchange.surface.kind == "passing":
        return read_passing(exchange)
    body = exchange.body
    if not body:
        return NO_BODY
    try:
        exchange.envelope = envelope = exchange.surface.decode(body)
    except msgspec.MsgspecError as error:
        return malformed(error)
    except UnicodeDecodeError:
        return NOT_UTF8
    except RecursionError:
        return TOO_DEEP
    place = exchange.place
    if place is not None:
        _add_place(envelope, place)
    return None if envelope.model else _first_model(exchange, envelope)


def _first_model(exchange: Exchange, envelope: Envelope) -> Fault | None:
    """OpenRouter's clients may name the model in their list of models only."""
    model = first_model(envelope)
    if not model:
        return NO_MODEL
    envelope.model = model
    exchange.body = set_members(exchange.body, {"model": msgspec.json.encode(model)})
    return None


def _add_place(envelope: Envelope, place: Place) -> None:
    """What the path says counts: Azure's clients repeat the model in the body, where nobody reads it."""
    if place.model:
        envelope.model = place.model
    if place.stream is not None:
        envelope.stream = place.stream
