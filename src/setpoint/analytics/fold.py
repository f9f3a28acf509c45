"""Metrics folded from records: the counters and histograms that no process has to keep while it serves.

Every END adds to one cell (route, provider, model, surface). All sums are integers (nanoseconds, nano-dollars), so they are exact in any
order; they become seconds and dollars when rendered. The state is saved in the same transaction that seals the records it counts, and a
restart adds the unsealed records again from the spool: a counter neither jumps back nor counts twice.

Cells are bounded. A model name is what a client wrote, so it is kept only when a provider was reached with it; and past CELLS_MAX cells all
further combinations share one cell named `other`.

Bucket bounds: OpenTelemetry GenAI semantic conventions, metrics `gen_ai.client.operation.duration`, `gen_ai.client.token.usage`,
`gen_ai.server.time_to_first_token`; names are their Prometheus translations.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

import msgspec

from setpoint.domain.money import usd
from setpoint.domain.trace import CacheTier, Outcome, RecordTail, Surface

CELLS_MAX = 400
OTHER = "other"

Head = tuple[
    int, int, int, int, int, int, bytes, bytes, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int
]
"""A record head as `wire.spool.HEAD` unpacks it."""

DURATION_BOUNDS_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TTFT_BOUNDS_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
TOKEN_BOUNDS = tuple(4**power for power in range(14))
_DURATION_NS = [round(bound * 1e9) for bound in DURATION_BOUNDS_S]
_TTFT_NS = [round(bound * 1e9) for bound in TTFT_BOUNDS_S]
_TOKENS = list(TOKEN_BOUNDS)

OPERATIONS = {
    Surface.openai_chat: "chat",
    Surface.anthropic_messages: "chat",
    Surface.openai_responses: "chat",
    Surface.bedrock_converse: "chat",
    Surface.cohere_chat: "chat",
    Surface.ollama_chat: "chat",
    Surface.gemini: "generate_content",
    Surface.openai_completions: "text_completion",
    Surface.openai_embeddings: "embeddings",
    Surface.gemini_embeddings: "embeddings",
    Surface.cohere_embeddings: "embeddings",
    Surface.ollama_embeddings: "embeddings",
    Surface.anthropic_count_tokens: "count_tokens",
    Surface.gemini_count_tokens: "count_tokens",
    Surface.openai_images: "image",
    Surface.openai_audio: "audio",
    Surface.openai_moderations: "moderation",
    Surface.rerank: "rerank",
    Surface.openai_files: "files",
    Surface.openai_batches: "batches",
    Surface.openai_stored: "stored",
    Surface.other: "other",
}
"""`gen_ai.operation.name` by surface."""
TOKEN_CLASSES = ("input", "cached_read", "cache_write", "output", "reasoning", "audio_input", "audio_output", "image_input")


GAUGES = {
    "setpoint_trace_unsealed": "Traces that no segment holds yet.",
    "setpoint_trace_pending": "Exchanges that began and did not end.",
    "setpoint_spool_backlog_bytes": "Bytes of spool that wait to be read.",
    "setpoint_trace_records_total": "Records read from the spools.",
    "setpoint_trace_sealed_total": "Traces sealed into segments.",
    "setpoint_trace_seals_total": "Segments written.",
    "setpoint_trace_merges_total": "Merges of small segments.",
    "setpoint_trace_refused_total": "Records that could not be understood.",
    "setpoint_trace_worker_died_total": "Exchanges whose worker died.",
    "setpoint_trace_disk_full_total": "Seals that found the disk full.",
    "setpoint_trace_io_errors_total": "Reads and writes that the disk refused.",
    "setpoint_trace_store_errors_total": "Changes that the catalog or the index refused.",
    "setpoint_spool_torn_total": "Torn blocks in spools.",
    "setpoint_spool_torn_bytes_total": "Bytes in torn blocks.",
    "setpoint_spool_doubled_records_total": "Records met a second time, and left out.",
    "setpoint_spool_missing_records_total": "Records missing from the gapless count of their writer.",
}
"""What ingest says of itself besides, with a line of help each."""


class Cell(msgspec.Struct, array_like=True):
    """What is known of one (route, provider, model, surface)."""

    route: str
    provider: str
    model: str
    surface: int
    ends: dict[int, int] = {}
    """Exchanges by outcome << 8 | cache tier."""
    tokens: list[int] = msgspec.field(default_factory=lambda: [0] * len(TOKEN_CLASSES))
    cost_nanousd: int = 0
    saved_nanousd: int = 0
    unpriced: int = 0
    attempts: int = 0
    duration_ns: int = 0
    durations: list[int] = msgspec.field(default_factory=lambda: [0] * (len(_DURATION_NS) + 1))
    ttft_ns: int = 0
    ttfts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(_TTFT_NS) + 1))
    inputs: list[int] = msgspec.field(default_factory=lambda: [0] * (len(_TOKENS) + 1))
    outputs: list[int] = msgspec.field(default_factory=lambda: [0] * (len(_TOKENS) + 1))
    decisions: dict[str, int] = {}
    """Exchanges with a choice, by strategy and the upstream that was the first one."""

    def add(self, head: Head, tail: RecordTail) -> None:
        """Count one END."""
        (_, outcome, _, cache, _, attempts, _, _, _, duration_ns, ttft_ns, _, cost, fresh, read, write, output, reasoning, *_) = head
        end = outcome << 8 | cache
        self.ends[end] = self.ends.get(end, 0) + 1
        self.attempts += attempts
        self.duration_ns += duration_ns
        self.durations[bisect_left(_DURATION_NS, duration_ns)] += 1
        if ttft_ns:
            self.ttft_ns += ttft_ns
            self.ttfts[bisect_left(_TTFT_NS, ttft_ns)] += 1
        if cost >= 0:
            self.cost_nanousd += cost
        else:
            self.unpriced += 1
        if tail.decision:
            chosen = first_choice(tail.decision)
            self.decisions[chosen] = self.decisions.get(chosen, 0) + 1
        if tail.saved_nanousd:
            self.saved_nanousd += tail.saved_nanousd
        asked = fresh + read + write + tail.audio_input + tail.image_input
        answered = output + reasoning + tail.audio_output
        if asked or answered:
            self._add_tokens((fresh, read, write, output, reasoning, tail.audio_input, tail.audio_output, tail.image_input))
            self.inputs[bisect_left(_TOKENS, asked)] += 1
            self.outputs[bisect_left(_TOKENS, answered)] += 1

    def _add_tokens(self, counts: tuple[int, ...]) -> None:
        tokens = self.tokens
        for at, count in enumerate(counts):
            if count:
                tokens[at] += count


class _Decided(msgspec.Struct):
    """What the metric needs of a decision (`gateway.decision`)."""

    strategy: str = ""
    order: list[list[str | float]] = []


_decided = msgspec.json.Decoder(_Decided).decode


def first_choice(decision: str) -> str:
    """Strategy and upstream of the first choice, with a space between."""
    try:
        said = _decided(decision)
    except msgspec.MsgspecError:
        return f"{OTHER} {OTHER}"
    target = str(said.order[0][0]) if said.order and said.order[0] else ""
    return f"{said.strategy or OTHER} {target.partition('/')[0] or OTHER}"


class Fold:
    """The cells, and plain counters that ingest keeps beside them."""

    def __init__(self, state: bytes = b"") -> None:
        """`state` is what `saved` gave; empty starts from nothing."""
        cells = msgspec.msgpack.decode(state, type=list[Cell]) if state else []
        self._cells = {(c.route, c.provider, c.model, c.surface): c for c in cells}
        self.changed = True

    def add(self, head: Head, tail: RecordTail) -> None:
        """Count one END."""
        provider = tail.provider
        key = (tail.route, provider, tail.model if provider else "", head[2])
        cell = self._cells.get(key)
        if cell is None:
            cell = self._new_cell(key)
        cell.add(head, tail)
        self.changed = True

    def saved(self) -> bytes:
        return msgspec.msgpack.encode(list(self._cells.values()))

    def render(self, gauges: dict[str, int]) -> str:
        """Prometheus text format 0.0.4. `gauges` are values of ingest itself, by the names in GAUGES; `_total` names are counters."""
        self.changed = False
        lines = [*self._gen_ai(), *self._setpoint()]
        for name, value in gauges.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += (f"# HELP {name} {GAUGES[name]}", f"# TYPE {name} {kind}", f"{name} {value}")
        return "\n".join(lines) + "\n"

    def _new_cell(self, key: tuple[str, str, str, int]) -> Cell:
        if len(self._cells) >= CELLS_MAX:
            key = (OTHER, OTHER, OTHER, 0)
        return self._cells.setdefault(key, Cell(*key))

    def _gen_ai(self) -> Iterator[str]:
        groups = _merged(self._cells.values())
        yield "# HELP gen_ai_client_operation_duration_seconds Duration of exchanges."
        yield from _histogram(
            "gen_ai_client_operation_duration_seconds", groups, DURATION_BOUNDS_S, lambda c: (c.durations, c.duration_ns / 1e9)
        )
        yield "# HELP gen_ai_server_time_to_first_token_seconds Time from the request to the first token of the answer."
        yield from _histogram("gen_ai_server_time_to_first_token_seconds", groups, TTFT_BOUNDS_S, lambda c: (c.ttfts, c.ttft_ns / 1e9))
        yield "# HELP gen_ai_client_token_usage Tokens per exchange; input includes cached tokens, output includes reasoning."
        kinds = (("input", lambda c: (c.inputs, _asked(c))), ("output", lambda c: (c.outputs, _answered(c))))
        for at, (kind, pick) in enumerate(kinds):
            typed = {f'{labels},gen_ai_token_type="{kind}"': cell for labels, cell in groups.items()}
            yield from _histogram("gen_ai_client_token_usage", typed, TOKEN_BOUNDS, pick, typed=at == 0)

    def _setpoint(self) -> Iterator[str]:
        cells = list(self._cells.values())
        yield "# HELP setpoint_exchanges_total Exchanges that ended, by how."
        yield "# TYPE setpoint_exchanges_total counter"
        for c in cells:
            for end, count in sorted(c.ends.items()):
                how = f'outcome="{Outcome(end >> 8).name}",cache="{CacheTier(end & 255).name}"'
                yield f"setpoint_exchanges_total{{{_own_labels(c)},{how}}} {count}"
        yield "# HELP setpoint_tokens_total Tokens, in classes that do not overlap."
        yield "# TYPE setpoint_tokens_total counter"
        for c in cells:
            for name, count in zip(TOKEN_CLASSES, c.tokens, strict=True):
                if count:
                    yield f'setpoint_tokens_total{{{_own_labels(c)},class="{name}"}} {count}'
        yield from _decisions(cells)
        for name, help_text, value in _COUNTERS:
            yield f"# HELP {name} {help_text}"
            yield f"# TYPE {name} counter"
            yield from (f"{name}{{{_own_labels(c)}}} {value(c)}" for c in cells)


_COUNTERS: tuple[tuple[str, str, Callable[[Cell], str]], ...] = (
    ("setpoint_cost_usd_total", "Cost of answers whose price is known, in US dollars.", lambda c: usd(c.cost_nanousd)),
    ("setpoint_saved_usd_total", "What answers from the cache had cost.", lambda c: usd(c.saved_nanousd)),
    ("setpoint_unpriced_total", "Exchanges whose price is unknown.", lambda c: str(c.unpriced)),
    ("setpoint_attempts_total", "Calls to upstreams.", lambda c: str(c.attempts)),
)


def _decisions(cells: list[Cell]) -> Iterator[str]:
    """By route, strategy and first choice; all of these are of the configuration, so they are few."""
    counts: dict[tuple[str, str], int] = {}
    for c in cells:
        for chosen, count in c.decisions.items():
            counts[c.route, chosen] = counts.get((c.route, chosen), 0) + count
    yield "# HELP setpoint_route_decisions_total Exchanges with a choice of targets, by the one that was chosen first."
    yield "# TYPE setpoint_route_decisions_total counter"
    for (route, chosen), count in counts.items():
        strategy, _, target = chosen.partition(" ")
        labels = f'route="{_escaped(route)}",strategy="{_escaped(strategy)}",target="{_escaped(target)}"'
        yield f"setpoint_route_decisions_total{{{labels}}} {count}"


def _merged(cells: Iterable[Cell]) -> dict[str, Cell]:
    """Cells without their route, by their rendered labels."""
    groups: dict[str, Cell] = {}
    for c in cells:
        labels = ",".join(
            (
                f'gen_ai_operation_name="{OPERATIONS[Surface(c.surface)]}"',
                f'gen_ai_provider_name="{_escaped(c.provider)}"',
                f'gen_ai_request_model="{_escaped(c.model)}"',
            )
        )
        _add_up(groups.setdefault(labels, Cell("", c.provider, c.model, c.surface)), c)
    return groups


def _add_up(into: Cell, c: Cell) -> None:
    into.duration_ns += c.duration_ns
    into.ttft_ns += c.ttft_ns
    for name in ("tokens", "durations", "ttfts", "inputs", "outputs"):
        setattr(into, name, [a + b for a, b in zip(getattr(into, name), getattr(c, name), strict=True)])


def _asked(c: Cell) -> float:
    return c.tokens[0] + c.tokens[1] + c.tokens[2] + c.tokens[5] + c.tokens[7]


def _answered(c: Cell) -> float:
    return c.tokens[3] + c.tokens[4] + c.tokens[6]


def _histogram(
    name: str,
    cells: dict[str, Cell],
    bounds: tuple[float, ...],
    pick: Callable[[Cell], tuple[list[int], float]],
    *,
    typed: bool = True,
) -> Iterator[str]:
    if typed:
        yield f"# TYPE {name} histogram"
    for labels, cell in cells.items():
        counts, total = pick(cell)
        running = 0
        for bound, count in zip(bounds, counts, strict=False):
            running += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {running}'
        running += counts[-1]
        yield f'{name}_bucket{{{labels},le="+Inf"}} {running}'
        yield f"{name}_sum{{{labels}}} {total}"
        yield f"{name}_count{{{labels}}} {running}"


def _own_labels(c: Cell) -> str:
    """All that makes a cell a cell: with less, two of them would be one series."""
    return f'route="{_escaped(c.route)}",provider="{_escaped(c.provider)}",model="{_escaped(c.model)}",surface="{Surface(c.surface).name}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
