"""A fault in the envelope of the management interface (requirement A10)."""

import msgspec

from setpoint.domain.faults import Fault

RETRIABLE_STATUSES = frozenset({408, 429, 502, 503, 504})
_encode = msgspec.json.Encoder().encode


def envelope_of(fault: Fault, request_id: str, timestamp: str, details: dict[str, object] | None = None) -> dict[str, object]:
    """The envelope as an object: `error` says what went wrong, `meta` which request it was and where to read on."""
    return {
        "error": {
            "code": fault.code,
            "error_code": fault.kind.name.upper(),
            "category": fault.blame,
            "message": fault.message,
            "details": details or {},
            "field": fault.param,
            "retriable": fault.http_status in RETRIABLE_STATUSES,
        },
        "meta": {"timestamp": timestamp, "request_id": request_id, "documentation_url": f"/docs/errors/{fault.code}"},
    }


def render_management_fault(fault: Fault, request_id: str, timestamp: str) -> bytes:
    """The envelope as JSON."""
    return _encode(envelope_of(fault, request_id, timestamp))
