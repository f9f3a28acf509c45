"""What is remembered of an exchange: the record a worker writes and the trace a reader gets."""

from enum import IntEnum

import msgspec


class RecordKind(IntEnum):
    """BEGIN: a stream was committed or an exchange passed one second. ATTEMPT: one upstream call that was not the last word.
    END: the exchange is over; exactly one per exchange, written before the last byte of the answer leaves."""

    begin = 1
    end = 2
    attempt = 3


class Surface(IntEnum):
    """The client-facing API an exchange came in by."""

    other = 0
    openai_chat = 1
    anthropic_messages = 2
    openai_embeddings = 3
    openai_responses = 4
    openai_completions = 5
    gemini = 6
    gemini_embeddings = 7
    anthropic_count_tokens = 8
    gemini_count_tokens = 9
    bedrock_converse = 10
    cohere_chat = 11
    cohere_embeddings = 12
    ollama_chat = 13
    ollama_embeddings = 14
    openai_images = 15
    openai_audio = 16
    openai_moderations = 17
    rerank = 18
    openai_files = 19
    openai_batches = 20
    openai_stored = 21
    """Responses, conversations and the like that the provider keeps: read, deleted, cancelled."""


class CacheTier(IntEnum):
    """Where the answer came from. bypass: not looked up. miss: looked up and not there."""

    bypass = 0
    miss = 1
    hit_l1 = 2


class Outcome(IntEnum):
    """How an exchange ended; exactly one."""

    ok = 0
    fault = 1
    """Ended in an error answer, or an explicit error event in the stream."""
    client_gone = 2
    worker_died = 3
    """Never written by a worker: ingest makes it for a BEGIN whose writer is dead."""


class RecordHead(msgspec.Struct):
    """The fixed numbers of a record. `wire.spool` packs it into 128 bytes; field order there is documented beside the codec.

    Durations are monotonic nanoseconds, `start_ns` is wall clock. `cost_nanousd` is -1 when the price is unknown. `ttft_ns` is
    0 when no token came. `upstream_ns` is the time spent waiting for upstreams, so overhead = duration - upstream.
    """

    kind: int
    outcome: int
    surface: int
    cache: int
    status: int
    attempts: int
    request_id: bytes
    trace_id: bytes
    start_ns: int
    duration_ns: int
    ttft_ns: int
    upstream_ns: int
    cost_nanousd: int
    input: int
    cached_read: int
    cache_write: int
    output: int
    reasoning: int
    key_no: int
    config_version: int
    fault: int
    streamed: bool


class RecordTail(msgspec.Struct, array_like=True, omit_defaults=False):
    """The texts of a record, msgpack as an array; append members only, each with a default."""

    route: str = ""
    upstream: str = ""
    provider: str = ""
    model: str = ""
    model_served: str = ""
    finish: str = ""
    fault_message: str = ""
    client_request_id: str = ""
    session_id: str = ""
    tags: str = ""
    user: str = ""
    project: str = ""
    role: str = ""
    public_id: str = ""
    parent_span: str = ""
    prompt_bytes: int = 0
    """Length of the whole prompt body; the captured text may be shorter."""
    answer_bytes: int = 0
    prompt_sha256: bytes = b""
    """Set only when the captured prompt was cut."""
    answer_sha256: bytes = b""
    estimated: bool = False
    price_source: str = ""
    audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0
    attempt_no: int = 0
    """ATTEMPT records: which call this was, from 1."""
    saved_nanousd: int = 0
    """Cache hits: what the stored answer had cost."""
    decision: str = ""
    """Why it went where it went, as JSON; empty where there was nothing to decide."""
    key: str = ""
    """The label of the upstream's key that the last call used, where it has several."""
    hedged: bool = False
    """Two calls were made at once; END says by `attempt_no` which one answered. An ATTEMPT without a fault was the slower one."""
    began_ns: int = 0
    """ATTEMPT records: from the exchange's start to the call's."""


class Attempt(msgspec.Struct, frozen=True):
    """One upstream call as a trace shows it."""

    no: int
    upstream: str
    provider: str
    model: str
    status: int
    fault: int
    fault_message: str
    start_ns: int
    duration_ns: int
    key: str = ""
    hedged: bool = False
    cost_nanousd: int = -1
    """Of a call that was slower than another; its cost is part of the exchange's."""


def request_id_text(request_id: bytes) -> str:
    """32 hex digits: 8 bytes of wall-clock nanoseconds, big endian, then 8 random bytes. Sorts by time."""
    return request_id.hex()
