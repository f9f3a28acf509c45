"""Faults: everything that can go wrong with an exchange, as data.

A fault says who is to blame, whether another try can help, and what HTTP status suits it. Each face renders a
fault once, in its own error shape; nothing else in the program turns a fault into HTTP.

    Fault
    ├─ caller     the request cannot be served as it is
    │  ├─ bad_request          malformed body, wrong type, missing member               400  1001
    │  ├─ unsupported          the target dialect cannot express what was asked         400  1002
    │  ├─ unknown_model        no route and no provider serves that model               404  1003
    │  ├─ not_found            no such path or record                                   404  1004
    │  ├─ method_not_allowed   the path exists, the method does not                     405  1005
    │  ├─ too_large            body or head over its limit                              413  1006
    │  ├─ context_length       the prompt does not fit the model                        400  1007
    │  ├─ content_filter       refused by the provider's content policy                 400  1008
    │  ├─ request_timeout      the request did not arrive in time                       408  1009
    │  ├─ unauthenticated      no key, or a key nobody issued                           401  1101
    │  ├─ forbidden            a good key without that permission                       403  1102
    │  ├─ rate_limited         this key or role is over its own limit                   429  1501
    │  └─ client_gone          the client hung up before the answer was complete        499  1010
    ├─ upstream   the provider failed
    │  ├─ upstream_auth        the provider refuses the gateway's own credential        502  1601
    │  ├─ upstream_quota       the gateway's account there is out of credit             502  1602
    │  ├─ upstream_rate        the provider is limiting the gateway                     429  1603
    │  ├─ upstream_overloaded  the provider says it is overloaded                       503  1604
    │  ├─ upstream_server      5xx, or an answer that makes no sense                    502  1605
    │  ├─ upstream_refused     a 4xx that no rule here names                            (its own)  1606
    │  ├─ upstream_unreachable no connection: DNS, refused, TLS                         502  1607
    │  ├─ upstream_timeout     connect, first byte, idle or total deadline passed       504  1608
    │  └─ upstream_cut         the answer ended before it was complete                  502  1609
    └─ gateway    Setpoint itself cannot serve it now
       ├─ no_target            every target of the route is open-circuited              503  1701
       ├─ overloaded           a bounded queue or budget of this worker is full         503  1702
       ├─ engine_down          the management side is restarting                        503  1703
       ├─ draining             the worker is shutting down                              503  1704
       ├─ management_timeout   a management answer was not there in time                504  1800
       └─ internal             a bug; the message carries no detail                     500  1900
"""

from enum import IntEnum
from typing import Literal

import msgspec

Blame = Literal["caller", "upstream", "gateway"]
Retry = Literal["never", "elsewhere", "again"]
"""never: no other try can help. elsewhere: only a different upstream can. again: the same upstream may work."""


class FaultKind(IntEnum):
    """The catalogue number is the value; it is stable and goes on the wire as `x-setpoint-error-code`."""

    bad_request = 1001
    unsupported = 1002
    unknown_model = 1003
    not_found = 1004
    method_not_allowed = 1005
    too_large = 1006
    context_length = 1007
    content_filter = 1008
    request_timeout = 1009
    client_gone = 1010
    unauthenticated = 1101
    forbidden = 1102
    rate_limited = 1501
    upstream_auth = 1601
    upstream_quota = 1602
    upstream_rate = 1603
    upstream_overloaded = 1604
    upstream_server = 1605
    upstream_refused = 1606
    upstream_unreachable = 1607
    upstream_timeout = 1608
    upstream_cut = 1609
    no_target = 1701
    overloaded = 1702
    engine_down = 1703
    draining = 1704
    management_timeout = 1800
    internal = 1900


class FaultClass(msgspec.Struct, frozen=True):
    """What every fault of one kind has in common."""

    blame: Blame
    http_status: int
    retry: Retry


FAULT_CLASSES: dict[FaultKind, FaultClass] = {
    FaultKind.bad_request: FaultClass("caller", 400, "never"),
    FaultKind.unsupported: FaultClass("caller", 400, "elsewhere"),
    FaultKind.unknown_model: FaultClass("caller", 404, "never"),
    FaultKind.not_found: FaultClass("caller", 404, "never"),
    FaultKind.method_not_allowed: FaultClass("caller", 405, "never"),
    FaultKind.too_large: FaultClass("caller", 413, "never"),
    FaultKind.context_length: FaultClass("caller", 400, "never"),
    FaultKind.content_filter: FaultClass("caller", 400, "never"),
    FaultKind.request_timeout: FaultClass("caller", 408, "never"),
    FaultKind.client_gone: FaultClass("caller", 499, "never"),
    FaultKind.unauthenticated: FaultClass("caller", 401, "never"),
    FaultKind.forbidden: FaultClass("caller", 403, "never"),
    FaultKind.rate_limited: FaultClass("caller", 429, "never"),
    FaultKind.upstream_auth: FaultClass("upstream", 502, "elsewhere"),
    FaultKind.upstream_quota: FaultClass("upstream", 502, "elsewhere"),
    FaultKind.upstream_rate: FaultClass("upstream", 429, "again"),
    FaultKind.upstream_overloaded: FaultClass("upstream", 503, "again"),
    FaultKind.upstream_server: FaultClass("upstream", 502, "again"),
    FaultKind.upstream_refused: FaultClass("upstream", 400, "never"),
    FaultKind.upstream_unreachable: FaultClass("upstream", 502, "again"),
    FaultKind.upstream_timeout: FaultClass("upstream", 504, "again"),
    FaultKind.upstream_cut: FaultClass("upstream", 502, "again"),
    FaultKind.no_target: FaultClass("gateway", 503, "never"),
    FaultKind.overloaded: FaultClass("gateway", 503, "never"),
    FaultKind.engine_down: FaultClass("gateway", 503, "never"),
    FaultKind.draining: FaultClass("gateway", 503, "never"),
    FaultKind.management_timeout: FaultClass("gateway", 504, "never"),
    FaultKind.internal: FaultClass("gateway", 500, "never"),
}


class Fault(msgspec.Struct, frozen=True):
    """One thing that went wrong.

    `message` is for the person who can act; it never holds a secret. `param` names the member of the request that is
    wrong. `upstream_status` and `upstream_body` keep what the provider said (body capped by whoever builds the
    fault), so that a face of the same dialect can pass the provider's own error through. `retry_after_s` is set only
    when it is true: told by the provider, or computed from a bucket.
    """

    kind: FaultKind
    message: str
    param: str | None = None
    retry_after_s: float | None = None
    upstream_status: int | None = None
    upstream_body: bytes | None = None

    @property
    def blame(self) -> Blame:
        return FAULT_CLASSES[self.kind].blame

    @property
    def retry(self) -> Retry:
        return FAULT_CLASSES[self.kind].retry

    @property
    def http_status(self) -> int:
        """The status for the client; a refused request keeps the provider's own 4xx."""
        if self.kind is FaultKind.upstream_refused and self.upstream_status:
            return self.upstream_status
        return FAULT_CLASSES[self.kind].http_status

    @property
    def code(self) -> int:
        """The catalogue number."""
        return int(self.kind)
