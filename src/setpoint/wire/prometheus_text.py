"""The pages of all workers as Prometheus text.

Any process that maps the pages can render them, so `/metrics` needs neither the engine nor a metric library. Every
label combination is there from the start: a rate over a series that has just appeared would miss its first increments.

Source of the format: https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4).
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, product

from setpoint.wire.gauge_page import LIVES, NS, PLACED, Across, Family, Seen

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render_prometheus(pages: Iterable[Seen]) -> str:
    """All families over all pages, in the Prometheus text format; every label combination is there from the start."""
    seen = list(pages)
    lines = [
        "# HELP setpoint_workers Gateway workers that run.",
        "# TYPE setpoint_workers gauge",
        f"setpoint_workers {sum(page.live for page in seen)}",
        "# HELP setpoint_worker_starts_total Gateway workers started, replacements included.",
        "# TYPE setpoint_worker_starts_total counter",
        f"setpoint_worker_starts_total {sum(page.page[LIVES] for page in seen)}",
    ]
    for family, start in PLACED:
        lines += (f"# HELP {family.name} {family.text}", f"# TYPE {family.name} {family.kind}")
        total = _joined(family, start, seen)
        if family.kind == "histogram":
            lines += _histogram_lines(family, total)
        else:
            lines += (
                f"{family.name}{labels} {_number(value * family.unit)}" for labels, value in zip(_label_texts(family), total, strict=True)
            )
    return "\n".join(lines) + "\n"


_JOIN: dict[Across, Callable[[Iterable[int]], int]] = {"sum": sum, "max": max, "min": min}


def _joined(family: Family, start: int, seen: list[Seen]) -> list[int]:
    """Each place of a family over the pages that count for it."""
    pages = [page.page for page in seen if page.live or family.kind != "gauge"]
    if not pages:
        return [0] * family.places
    join = _JOIN[family.across]
    return [join([page[place] for page in pages]) for place in range(start, start + family.places)]


def _label_texts(family: Family) -> Iterator[str]:
    if not family.labels:
        yield ""
        return
    names = [name for name, _ in family.labels]
    for values in product(*(values for _, values in family.labels)):
        yield "{" + ",".join(f'{name}="{value}"' for name, value in zip(names, values, strict=True)) + "}"


def _histogram_lines(family: Family, places: list[int]) -> Iterator[str]:
    *buckets, sum_ns = places
    cumulative = list(accumulate(buckets))
    for bound, count in zip((*(repr(bound) for bound in family.bounds_s), "+Inf"), cumulative, strict=True):
        yield f'{family.name}_bucket{{le="{bound}"}} {count}'
    yield f"{family.name}_sum {_number(sum_ns * NS)}"
    yield f"{family.name}_count {cumulative[-1]}"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(value)
