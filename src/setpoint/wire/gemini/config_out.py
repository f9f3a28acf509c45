"""generationConfig, from nouns to JSON."""

import msgspec

from setpoint.domain.chat import ChatRequest, Reasoning, ResponseFormat
from setpoint.wire.gemini.losses import Losses
from setpoint.wire.gemini.model_facts import (
    BUDGET_BY_EFFORT,
    LEVELS,
    SEED_MAX,
    STOP_SEQUENCES_MAX,
    budget_range,
    is_generation_3,
    thinks,
    thinks_always,
)
from setpoint.wire.gemini.schema import google_schema

Json = dict[str, object]


def generation_config(request: ChatRequest, model: str, losses: Losses) -> Json:
    config: Json = {}
    _sampling(request, config, losses)
    if request.max_tokens is not None:
        config["maxOutputTokens"] = request.max_tokens
    if stop := [text for text in request.stop if text]:
        if len(stop) > STOP_SEQUENCES_MAX:
            losses.lose(f"stop (only the first {STOP_SEQUENCES_MAX})")
        config["stopSequences"] = stop[:STOP_SEQUENCES_MAX]
    if request.logprobs:
        config["responseLogprobs"] = True
        if request.top_logprobs:
            config["logprobs"] = request.top_logprobs
    if request.response_format is not None and not in_words(request, model):
        config["responseMimeType"] = "application/json"
        _schema(request.response_format, config)
    if request.reasoning is not None and (thinking := _thinking(request.reasoning, model, losses)):
        config["thinkingConfig"] = thinking
    return config


def in_words(request: ChatRequest, model: str) -> bool:
    """Before generation 3 the form of the answer cannot be held beside functions; the model is told in words instead
    (https://ai.google.dev/gemini-api/docs/structured-output)."""
    has_functions = any(tool.foreign is None for tool in request.tools)
    return request.response_format is not None and has_functions and not is_generation_3(model)


def format_in_words(given: ResponseFormat) -> str:
    if given.kind == "json_object":
        return "When you answer, answer with one JSON object and nothing else: no prose, no code fence."
    schema = (given.schema or b"{}").decode("utf-8", "replace")
    return f"When you answer, answer with JSON of this schema and nothing else, no prose, no code fence:\n{schema}"


def _sampling(request: ChatRequest, config: Json, losses: Losses) -> None:
    given = request.sampling
    for name, value in (
        ("temperature", given.temperature),
        ("topP", given.top_p),
        ("topK", given.top_k),
        ("frequencyPenalty", given.frequency_penalty),
        ("presencePenalty", given.presence_penalty),
    ):
        if value is not None:
            config[name] = value
    if given.seed is None:
        return
    if -SEED_MAX - 1 <= given.seed <= SEED_MAX:
        config["seed"] = given.seed
    else:
        losses.lose("seed (above 32 bits)")


def _schema(given: ResponseFormat, config: Json) -> None:
    if given.kind == "json_object":
        return
    schema = given.schema or b"{}"
    google = google_schema(schema)
    config["responseJsonSchema" if google is None else "responseSchema"] = msgspec.Raw(schema if google is None else google)


def _thinking(given: Reasoning, model: str, losses: Losses) -> Json:
    """Thoughts are shown unless the client does not want to see them: who asks for thinking elsewhere sees it."""
    disabled = given.mode == "disabled" or given.effort == "none"
    if not thinks(model):
        if not disabled:
            losses.lose("reasoning")
        return {}
    made: Json = {}
    if disabled:
        _disable(model, made, losses)
    elif given.effort is not None and (is_generation_3(model) or given.budget_tokens is None):
        _effort(given.effort, model, made)
    elif given.budget_tokens is not None:
        least, most = budget_range(model)
        made["thinkingBudget"] = max(least, min(most, given.budget_tokens))
        if made["thinkingBudget"] != given.budget_tokens:
            losses.lose(f"reasoning (its budget set to {made['thinkingBudget']})")
    else:
        made["thinkingBudget"] = -1  # as much as the model sees fit
    if given.show is not False and not disabled:
        made["includeThoughts"] = True
    return made


def _effort(effort: str, model: str, made: Json) -> None:
    if is_generation_3(model):
        level = LEVELS.get(effort, "MEDIUM")
        made["thinkingLevel"] = "LOW" if level == "MINIMAL" and "pro" in model else level
    else:
        made["thinkingBudget"] = BUDGET_BY_EFFORT.get(effort, BUDGET_BY_EFFORT["medium"])


def _disable(model: str, made: Json, losses: Losses) -> None:
    if not thinks_always(model):
        made["thinkingBudget"] = 0
        return
    losses.lose("reasoning (this model always thinks; set to the least)")
    if is_generation_3(model):
        made["thinkingLevel"] = "LOW" if "pro" in model else "MINIMAL"
    else:
        made["thinkingBudget"] = budget_range(model)[0]
