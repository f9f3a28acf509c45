"""What dialects share about a provider's errors: when to come back, what may be shown, and what a status means by itself.

Sources: RFC 9110 section 10.2.3 (Retry-After), OpenAI's x-ratelimit-* headers and those of vendors that count by minute and day
(Cerebras), Anthropic's anthropic-ratelimit-* headers, Azure's x-ms-retry-after-ms.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.dialect import FAULT_BODY_BYTES_MAX

RETRY_AFTER_S_MAX = 86_400.0
"""A provider that says to wait longer than a day is not believed."""

MESSAGE_CHARS_MAX = 2_000
HTML_BYTES_MAX = 4_096
"""How much of an error page is read for its text."""

# Every repetition below is bounded or anchored to the start of a word: bodies come from outside and may be built to be slow to search.
_CREDENTIAL = re.compile(
    r"\b[Bb]earer\s+[\w.~+/=*-]{6,}"
    r"|\b(?:sk|pk|rk|gsk|xai|hf|pplx|csk|nvapi|r8|fw)[-_][\w*.-]{6,}"
    r"|\bAIza[\w*-]{6,}"
    r"|\beyJ[\w-]{4,512}\.[\w.-]+"
    r"|(?<![\w-])[\w-]{0,64}\*{3,}[\w*-]*"
)
_CREDENTIAL_BYTES = re.compile(_CREDENTIAL.pattern.encode())
_HTTP_DATE = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d{2}) (\w{3}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT")
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: no for no, name in enumerate(_MONTH_NAMES, 1)}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_IN_WORDS = re.compile(r"(?i)(?:try again|retry) (?:in|after) (?:(\d{1,5})m)?(\d{1,6}(?:\.\d{1,9})?) ?(ms|milliseconds|s\b|seconds?)")
_LIMIT_HEADERS = (
    ("x-ratelimit-reset-requests", "x-ratelimit-remaining-requests"),
    ("x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"),
    ("x-ratelimit-reset-requests-day", "x-ratelimit-remaining-requests-day"),
    ("x-ratelimit-reset-tokens-minute", "x-ratelimit-remaining-tokens-minute"),
    ("x-ratelimit-reset", "x-ratelimit-remaining"),
    ("ratelimit-reset", "ratelimit-remaining"),
    ("anthropic-ratelimit-requests-reset", "anthropic-ratelimit-requests-remaining"),
    ("anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-tokens-remaining"),
    ("anthropic-ratelimit-input-tokens-reset", "anthropic-ratelimit-input-tokens-remaining"),
    ("anthropic-ratelimit-output-tokens-reset", "anthropic-ratelimit-output-tokens-remaining"),
)
_TAGS = re.compile(r"<(?:script|style).*?</(?:script|style)>|<[^>]*>", re.DOTALL | re.IGNORECASE)

_CONTEXT = re.compile(
    r"(?i)maximum context length|context[_ ](?:length|window|limit|size)|maximum (?:prompt|input) length|prompt exceeds max length"
    r"|(?:prompt|input) is too (?:long|large)|too many (?:input |prompt )?tokens|token limit|reduce the length"
    r"|exceeds? the (?:model'?s? )?(?:maximum )?(?:context|input token|number of tokens)|range of input length|max_new_tokens. must be"
)
_FILTER = re.compile(
    r"(?i)content[_ ](?:filter|policy|management|violates)|ResponsibleAIPolicy|safety (?:system|policy|check)|SAFETY_CHECK|flagged"
    r"|usage (?:policy|policies|guidelines)|unsafe or sensitive|inappropriate content|considered high risk|requires moderation"
)
_QUOTA = re.compile(
    r"(?i)insufficient[_ ](?:quota|funds|credit|balance)|credit balance|billing|payment required|used all available credits|spending limit"
    r"|exceeded your (?:current|monthly) (?:quota|included credits)|usage limits?\b.{0,40}regain|daily free allocation|recharge"
    r"|out of credits|account is (?:suspended|in arrears)|overdue"
)
_OVERLOADED = re.compile(r"(?i)\boverloaded\b|capacity temporarily|at capacity|no capacity|currently loading|loading model|high traffic")

_BY_STATUS = {
    401: FaultKind.upstream_auth,
    402: FaultKind.upstream_quota,
    403: FaultKind.upstream_auth,
    408: FaultKind.upstream_timeout,
    413: FaultKind.too_large,
    429: FaultKind.upstream_rate,
    503: FaultKind.upstream_overloaded,
    504: FaultKind.upstream_timeout,
    524: FaultKind.upstream_timeout,
    529: FaultKind.upstream_overloaded,
}


def redacted(text: str) -> str:
    """`text` without anything that looks like a credential; providers quote keys in their 401 messages."""
    return _CREDENTIAL.sub("[redacted]", text)


def kept_body(body: bytes) -> bytes | None:
    """What a fault keeps of an error body: cut to its limit, without credentials."""
    return _CREDENTIAL_BYTES.sub(b"[redacted]", body[:FAULT_BODY_BYTES_MAX]) if body else None


def plain_message(body: bytes) -> str:
    """The readable text of an error body that is not the dialect's JSON: HTML without tags, first part only; may be empty."""
    text = body[:HTML_BYTES_MAX].decode("utf-8", "replace")
    if "<" in text:
        text = _TAGS.sub(" ", text)
    return " ".join(text.split())[:200]


def kind_of(status: int, vendor_words: str) -> FaultKind:
    """The kind of an error by its status and the provider's own words (type, code and message in one string)."""
    vendor_words = vendor_words[:MESSAGE_CHARS_MAX]
    if (status in {400, 402, 403, 412, 429} or status < 400) and _QUOTA.search(vendor_words):
        return FaultKind.upstream_quota
    if status in {400, 413, 422} or status < 400:
        if _CONTEXT.search(vendor_words):
            return FaultKind.context_length
        if _FILTER.search(vendor_words):
            return FaultKind.content_filter
    if status in {403, 451} and _FILTER.search(vendor_words):
        return FaultKind.content_filter
    if (status in {429, 498, 500} or status < 400) and _OVERLOADED.search(vendor_words):
        return FaultKind.upstream_overloaded
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    return FaultKind.upstream_refused if 400 <= status < 500 else FaultKind.upstream_server


def upstream_fault(
    kind: FaultKind, status: int, message: str, body: bytes, retry_after_s: float | None = None, param: str | None = None
) -> Fault:
    """Assemble a fault of a provider's answer; `message` is the provider's own, redacted and cut here."""
    said = redacted(message[:MESSAGE_CHARS_MAX]) or "no message"
    return Fault(kind, said, param, retry_after_s, status or None, kept_body(body))


def blame_text(fault: Fault, request_id: str) -> str:
    """Who is at fault, in brackets, for the end of a message."""
    who = {"caller": "the request", "upstream": "the upstream provider", "gateway": "the gateway"}[fault.blame]
    at = f", HTTP {fault.upstream_status}" if fault.upstream_status and fault.blame == "upstream" else ""
    return f"[at fault: {who}{at}; error {fault.code}{'; request ' + request_id if request_id else ''}]"


def retry_after_s(headers: Mapping[str, str], now_unix_s: float) -> float | None:
    """Seconds until another try makes sense, as the provider said; None when it did not say."""
    milliseconds = (headers.get("retry-after-ms") or headers.get("x-ms-retry-after-ms") or "").strip()
    if _is_number(milliseconds):
        return min(float(milliseconds) / 1000, RETRY_AFTER_S_MAX)
    told = headers.get("retry-after", "").strip()
    if _is_number(told):
        return min(float(told), RETRY_AFTER_S_MAX)
    at = _http_date_unix_s(told)
    return _from_limits(headers, now_unix_s) if at is None else min(max(0.0, at - now_unix_s), RETRY_AFTER_S_MAX)


def told_in_words(message: str) -> float | None:
    """Seconds to wait as a message says them: "Please try again in 1m7.5s." (OpenAI, Groq), "retry after 7 seconds" (Azure)."""
    match = _IN_WORDS.search(message[:MESSAGE_CHARS_MAX])
    if match is None:
        return None
    minutes, number, unit = match.groups()
    seconds = float(number) / 1000 if unit.startswith("m") else float(number)
    return min(float(minutes or 0) * 60 + seconds, RETRY_AFTER_S_MAX)


def _is_number(value: str) -> bool:
    return re.fullmatch(r"\d{1,15}(?:\.\d{1,9})?", value) is not None


def _http_date_unix_s(value: str) -> float | None:
    """IMF-fixdate of RFC 9110 section 5.6.7; the two obsolete forms are not sent by anyone."""
    match = _HTTP_DATE.fullmatch(value)
    if match is None or match[2] not in _MONTHS:
        return None
    try:
        return datetime(
            int(match[3]), _MONTHS[match[2]], int(match[1]), int(match[4]), int(match[5]), int(match[6]), tzinfo=UTC
        ).timestamp()
    except ValueError:
        return None


def _from_limits(headers: Mapping[str, str], now_unix_s: float) -> float | None:
    """The longest reset of an exhausted limit, from OpenAI's, Anthropic's or OpenRouter's headers."""
    delays = []
    for reset_name, remaining_name in _LIMIT_HEADERS:
        reset = headers.get(reset_name)
        if reset is not None and headers.get(remaining_name, "").strip() == "0":
            delay = _reset_delay_s(reset.strip(), now_unix_s)
            if delay is not None:
                delays.append(delay)
    return min(max(0.0, *delays), RETRY_AFTER_S_MAX) if delays else None


def _reset_delay_s(value: str, now_unix_s: float) -> float | None:
    """A reset time as a delay: seconds, Unix seconds or milliseconds, a duration such as 6m0s or 20ms, or RFC 3339."""
    if _is_number(value):
        number = float(value)
        if number > 1e11:
            return number / 1000 - now_unix_s
        return number - now_unix_s if number > 1e9 else number
    match = _DURATION.fullmatch(value)
    if match is not None and value:
        days, hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
        return days * 86_400 + hours * 3_600 + minutes * 60 + seconds + milliseconds / 1000
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at.timestamp() - now_unix_s if at.tzinfo else None
