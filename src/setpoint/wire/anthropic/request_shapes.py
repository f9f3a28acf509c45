"""JSON shapes of a messages request. What is not defined here is kept by name in `ChatRequest.extras`."""

import msgspec

NO_RAW = msgspec.Raw()


class Cache(msgspec.Struct, gc=False):
    ttl: str | None = None


class Source(msgspec.Struct, gc=False):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: msgspec.Raw = NO_RAW


class Block(msgspec.Struct, gc=False):
    """Every kind of block; `source`, `content` and `input` stay raw because their shape hangs on the kind."""

    type: str
    text: str | None = None
    source: msgspec.Raw = NO_RAW
    title: str | None = None
    context: str | None = None
    citations: msgspec.Raw = NO_RAW
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = NO_RAW
    tool_use_id: str | None = None
    content: msgspec.Raw = NO_RAW
    is_error: bool | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    cache_control: Cache | None = None


class AskedMessage(msgspec.Struct, gc=False):
    role: str
    content: str | list[Block]


class AskedTool(msgspec.Struct, gc=False):
    name: str | None = None
    type: str | None = None
    description: str | None = None
    input_schema: msgspec.Raw = NO_RAW
    strict: bool | None = None
    cache_control: Cache | None = None


class Choice(msgspec.Struct, gc=False):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class AskedThinking(msgspec.Struct, gc=False):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class Format(msgspec.Struct, gc=False):
    type: str
    schema: msgspec.Raw = NO_RAW


class OutputConfig(msgspec.Struct, gc=False):
    effort: str | None = None
    format: Format | None = None
    task_budget: msgspec.Raw = NO_RAW


class Metadata(msgspec.Struct, gc=False):
    user_id: str | None = None


class Asked(msgspec.Struct, gc=False):
    model: str
    messages: list[AskedMessage]
    max_tokens: int | None = None
    system: str | list[Block] | None = None
    tools: list[AskedTool] | None = None
    tool_choice: Choice | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    thinking: AskedThinking | None = None
    output_config: OutputConfig | None = None
    output_format: Format | None = None
    metadata: Metadata | None = None
    service_tier: str | None = None
    stream: bool | None = None


class RawMessage(msgspec.Struct, gc=False):
    content: msgspec.Raw = NO_RAW


class RawParts(msgspec.Struct, gc=False):
    messages: list[RawMessage]


class RawTools(msgspec.Struct, gc=False):
    tools: list[msgspec.Raw] = []


class Citing(msgspec.Struct, gc=False):
    """The switch of a document."""

    enabled: bool | None = None
