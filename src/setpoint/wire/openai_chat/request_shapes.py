"""JSON shapes of a chat request. What is not defined here is kept by name in `ChatRequest.extras`."""

import msgspec

from setpoint.wire.carried import carried
from setpoint.wire.openai_chat.shapes import NO_RAW, Custom, ThinkingBlock


class Cache(msgspec.Struct, gc=False):
    """Anthropic's mark, which OpenRouter and Alibaba take over."""

    ttl: str | None = None


class Breakpoint(msgspec.Struct, gc=False):
    """OpenAI's mark (https://platform.openai.com/docs/guides/prompt-caching)."""

    mode: str | None = None


class ImageUrl(msgspec.Struct, gc=False):
    url: str
    detail: str | None = None


class File(msgspec.Struct, gc=False):
    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None
    file_url: str | None = None


class InputAudio(msgspec.Struct, gc=False):
    data: str
    format: str = "wav"


class Url(msgspec.Struct, gc=False):
    url: str


class Inner(msgspec.Struct, gc=False):
    text: str | None = None


class Part(msgspec.Struct, gc=False):
    """`document_url`, `file_url`, `thinking` are Mistral's and Perplexity's."""

    type: str
    text: str | None = None
    image_url: ImageUrl | str | None = None
    file: File | None = None
    input_audio: InputAudio | None = None
    refusal: str | None = None
    document_url: str | None = None
    file_url: Url | str | None = None
    file_name: str | None = None
    thinking: str | list[Inner] | None = None
    cache_control: Cache | None = None
    prompt_cache_breakpoint: Breakpoint | None = None


class AskedFunction(msgspec.Struct, gc=False):
    name: str
    arguments: str | None = None


class AskedCall(msgspec.Struct, gc=False):
    id: str | None = None
    function: AskedFunction | None = None
    custom: Custom | None = None
    type: str = "function"
    extra_content: msgspec.Raw = NO_RAW


class AskedMessage(msgspec.Struct, gc=False):
    role: str
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[AskedCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    function_call: AskedFunction | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: msgspec.Raw = NO_RAW
    thinking_blocks: list[ThinkingBlock] | None = None
    annotations: msgspec.Raw = NO_RAW
    audio: msgspec.Raw = NO_RAW
    extra_content: msgspec.Raw = NO_RAW
    cache_control: Cache | None = None


class Definition(msgspec.Struct, gc=False):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = NO_RAW
    strict: bool | None = None


class AskedTool(msgspec.Struct, gc=False):
    type: str = "function"
    function: Definition | None = None
    custom: msgspec.Raw = NO_RAW
    cache_control: Cache | None = None


class Named(msgspec.Struct, gc=False):
    name: str


class Allowed(msgspec.Struct, gc=False):
    """The tools of a request that may be called now."""

    mode: str = "auto"
    tools: list["Choice"] = []


class Choice(msgspec.Struct, gc=False):
    type: str = "function"
    function: Named | None = None
    custom: Named | None = None
    allowed_tools: Allowed | None = None


class Schema(msgspec.Struct, gc=False):
    name: str | None = None
    description: str | None = None
    schema: msgspec.Raw = NO_RAW
    strict: bool | None = None


class Format(msgspec.Struct, gc=False):
    """Together and Perplexity also take a bare schema."""

    type: str
    json_schema: Schema | None = None
    schema: msgspec.Raw = NO_RAW


class AskedReasoning(msgspec.Struct, gc=False):
    """OpenRouter's object (https://openrouter.ai/docs/use-cases/reasoning-tokens)."""

    effort: str | None = None
    max_tokens: int | None = None
    enabled: bool | None = None
    exclude: bool | None = None


class AskedThinking(msgspec.Struct, gc=False):
    """The object of Z.ai, Moonshot and DeepSeek; LiteLLM's clients send Anthropic's, with a budget."""

    type: str | None = None
    budget_tokens: int | None = None
    clear_thinking: msgspec.Raw = NO_RAW


class StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None


class Asked(msgspec.Struct, gc=False):
    model: str
    messages: list[AskedMessage]
    tools: list[AskedTool] | None = None
    tool_choice: str | Choice | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    random_seed: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    response_format: Format | None = None
    reasoning_effort: str | None = None
    reasoning: AskedReasoning | None = None
    include_reasoning: bool | None = None
    thinking: AskedThinking | None = None
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    verbosity: str | None = None
    user: str | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    service_tier: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    functions: list[Definition] | None = None
    function_call: str | Named | None = None


class _RawMessage(msgspec.Struct, gc=False):
    content: msgspec.Raw = NO_RAW


class _RawParts(msgspec.Struct, gc=False):
    messages: list[_RawMessage]


class _RawTools(msgspec.Struct, gc=False):
    tools: list[msgspec.Raw] = []


read_asked = msgspec.json.Decoder(Asked).decode
_raw_parts = msgspec.json.Decoder(_RawParts).decode
_raw_tools = msgspec.json.Decoder(_RawTools).decode
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode


def raw_part(body: bytes, message_no: int, part_no: int) -> bytes:
    """A part as the client wrote it. It is looked for only when it is of a kind nobody else knows, which is rare."""
    return carried(_raws(_raw_parts(body).messages[message_no].content)[part_no])


def raw_tool(body: bytes, no: int) -> bytes:
    return carried(_raw_tools(body).tools[no])
