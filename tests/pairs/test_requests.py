"""Every recorded request can be put to every provider: what a dialect encodes, that vendor's own schema admits; or it says why not."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cache

import pytest
from tests.pairs.judges.openai_schema import DOCUMENT
from tests.pairs.judges.walking import RefusedError
from tests.pairs.recordings import CORPUS, SKIPPED, requests
from tests.pairs.registry import SURFACES

from setpoint.domain.chat import ChatRequest
from setpoint.domain.faults import Fault, FaultKind

pytestmark = pytest.mark.skipif(not (CORPUS.is_dir() and DOCUMENT.exists()), reason=SKIPPED)

EXCEPTIONS_MAX = 0.01
"""The part of a pair's requests that the vendor's schema may refuse for a named reason."""

EXCEPTIONS: dict[tuple[str, str, str], str] = {}
"""(recording, source, target): why the schema refuses what the service takes."""

MISFILED = {"864cd522ef82be33": "a stored prompt of Portkey, filed under completions"}

PAIRS = [(source, target) for source in SURFACES for target in SURFACES if source != target]
"""Between two of the same dialect bodies are relayed."""


@dataclass
class Counted:
    admitted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    exceptions: Counter[str] = field(default_factory=Counter)
    losses: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        return self.admitted + self.refused.total() + self.exceptions.total() + len(self.failures)


@cache
def read_of(source: str) -> tuple[list[tuple[str, bool, ChatRequest]], Counter[str], list[str]]:
    """Recorded requests as nouns; those the dialect refuses in so many words; those it could not read."""
    found, refused, failures = [], Counter[str](), []
    for recorded in requests(source):
        assert recorded.request is not None
        if recorded.id in MISFILED:
            continue
        request = SURFACES[source].dialect.decode_request(recorded.request)
        if not isinstance(request, Fault):
            found.append((recorded.id, recorded.streaming, request))
        elif request.kind is FaultKind.unsupported:
            refused[f"{request.param}: {request.message}"[:160]] += 1
        else:
            failures.append(f"{recorded.id} ({recorded.provider}): not read: {request.message}")
    return found, refused, failures


@cache
def tried(source: str, target_name: str) -> Counted:
    target = SURFACES[target_name]
    reads, refused, failures = read_of(source)
    counted = Counted(refused=Counter(refused), failures=list(failures))
    for recording, streaming, request in reads:
        encoded = target.dialect.encode_request(request, target.model, streaming)
        if isinstance(encoded, Fault):
            if encoded.kind is FaultKind.unsupported and encoded.param and encoded.message:
                counted.refused[f"{encoded.param}: {encoded.message}"[:160]] += 1
            else:
                counted.failures.append(f"{recording}: a fault that is not `unsupported` with a param: {encoded}")
            continue
        counted.losses.update(encoded.losses)
        try:
            target.judge(encoded.body, streaming)
        except RefusedError as error:
            if named := EXCEPTIONS.get((recording, source, target_name)):
                counted.exceptions[named] += 1
            else:
                counted.failures.append(f"{recording}: {target_name} refuses: {str(error)[:600]}")
            continue
        counted.admitted += 1
    return counted


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=[f"{source}-{target}" for source, target in PAIRS])
def test_recorded_requests_are_admitted_or_refused_by_name(source: str, target: str) -> None:
    counted = tried(source, target)
    print(f"\n{source} → {target}: {counted.admitted} of {counted.tried}; refused {dict(counted.refused)}; losses {dict(counted.losses)}")
    assert not counted.failures, f"{len(counted.failures)} of {counted.tried}:\n" + "\n".join(counted.failures[:20])
    assert counted.exceptions.total() <= EXCEPTIONS_MAX * counted.tried
    assert counted.admitted


def test_the_table_of_requests() -> None:
    """Admitted of tried, for each source and target, and every reason of a refusal; run with -s to see it."""
    names = list(SURFACES)
    lines = ["source \\ target".ljust(20) + "".join(name[:18].rjust(19) for name in names)]
    reasons: dict[str, Counter[str]] = {name: Counter() for name in names}
    for source in names:
        cells = []
        for target in names:
            counted = tried(source, target) if source != target else Counted()
            reasons[target] += counted.refused
            cells.append(f"{counted.admitted}/{counted.tried}" if source != target else "-")
        lines.append(source.ljust(20) + "".join(cell.rjust(19) for cell in cells))
    lines += [f"{target} refuses {count} × {reason}" for target in names for reason, count in reasons[target].most_common()]
    print("\n" + "\n".join(lines))
    total = [tried(source, target) for source, target in PAIRS]
    print(f"{sum(one.admitted for one in total)} of {sum(one.tried for one in total)} requests are admitted by the other vendor's schema")
    assert all(one.admitted for one in total)
