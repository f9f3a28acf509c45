"""Google's own client reads an answer, unary and streamed."""

from collections.abc import Iterable
from functools import cache

import httpx
from google import genai
from google.genai import types
from tests.pairs.said import Gathered, Said, arguments_of

STOPS = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", "OTHER": "unknown", "FINISH_REASON_UNSPECIFIED": "unknown"}


class _Wire:
    """Stands where the network is: every request is answered with `body`. One for all, because a client takes 50 ms to make."""

    def __init__(self) -> None:
        self.body = b""
        self.kind = ""
        transport = httpx.Client(transport=httpx.MockTransport(self.answer))
        self.client = genai.Client(api_key="k", http_options=types.HttpOptions(httpx_client=transport))

    def answer(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=self.body, headers={"content-type": self.kind})


@cache
def wire() -> _Wire:
    return _Wire()


def client(body: bytes, kind: str = "application/json") -> genai.Client:
    network = wire()
    network.body, network.kind = body, kind
    return network.client


def read(body: bytes) -> Said:
    return _put_together([client(body).models.generate_content(model="m", contents="x")])


def read_stream(stream: bytes) -> Said:
    """The SDK leaves it to its users to add the pieces up."""
    return _put_together(client(stream, "text/event-stream").models.generate_content_stream(model="m", contents="x"))


def _put_together(answers: Iterable[types.GenerateContentResponse]) -> Said:
    gathered = Gathered()
    stop, blocked = "", False
    usage: types.GenerateContentResponseUsageMetadata | None = None
    for answer in answers:
        assert not stop or not answer.candidates, "nothing follows the end but usage"
        assert answer.model_version == "shown"
        usage = answer.usage_metadata or usage
        if answer.prompt_feedback is not None and answer.prompt_feedback.block_reason is not None:
            blocked = True
            gathered.refusals.append(answer.prompt_feedback.block_reason_message or "")
        for candidate in answer.candidates or ():
            _add(candidate.content, gathered)
            if STOPS.get(candidate.finish_reason.value if candidate.finish_reason else "") == "content_filter":
                gathered.refusals.append(candidate.finish_message or "")
            stop = candidate.finish_reason.value if candidate.finish_reason else stop
    assert stop or blocked
    prompt, completion = _tokens(usage)
    return gathered.said("content_filter" if blocked else STOPS[stop], prompt, completion)


def _add(content: types.Content | None, gathered: Gathered) -> None:
    assert content is None or content.role in {None, "model"}
    for part in (content and content.parts) or ():
        if part.function_call is not None:
            call = part.function_call
            assert call.will_continue is None, "arguments come whole: nobody asked for pieces"
            gathered.calls.append((call.id or "", call.name or "", arguments_of(call.args or {})))
        elif part.text is not None:
            (gathered.thoughts if part.thought else gathered.texts).append(part.text)


def _tokens(usage: types.GenerateContentResponseUsageMetadata | None) -> tuple[int | None, int | None]:
    if usage is None or usage.total_token_count is None:
        return None, None
    prompt = (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0)
    completion = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    assert usage.total_token_count == prompt + completion
    assert (usage.cached_content_token_count or 0) <= prompt
    return prompt, completion
