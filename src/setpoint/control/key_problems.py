"""What may be wrong with several keys of one upstream."""

import math
import re
from collections import Counter
from collections.abc import Iterable

from setpoint.control.draft import Problem, UpstreamDraft

KEYS_MAX = 64
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


def key_problems(where: str, upstream: UpstreamDraft) -> Iterable[Problem]:
    """Problems of `api_keys`; none of them shows a key."""
    if len(upstream.keys) > KEYS_MAX:
        yield Problem(f"{where}.api_keys", f"has {len(upstream.keys)} entries; the limit is {KEYS_MAX}")
    labels = Counter(key.label for key in upstream.keys)
    keys = Counter(key.key for key in upstream.keys)
    for number, key in enumerate(upstream.keys):
        at = f"{where}.api_keys[{number}]"
        if not key.key:
            yield Problem(at, "has no key; write `env.MY_API_KEY`, or `{key: env.MY_API_KEY, label: eu, weight: 2}`")
        elif keys[key.key] > 1:
            yield Problem(at, "is the same key as another one; each can stand here once")
        elif upstream.auth not in {"aws", "google"} and not _HEADER_VALUE.fullmatch(key.key):
            yield Problem(at, "holds a character that no HTTP header may hold; look for a line break that got into it")
        if not _LABEL.fullmatch(key.label):
            yield Problem(f"{at}.label", "is letters, digits, '.', '_' and '-', at most 32 of them; it is shown where the key must not be")
        elif labels[key.label] > 1:
            yield Problem(f"{at}.label", f"{key.label!r} is given twice")
        if not 0 < key.weight < math.inf:
            yield Problem(f"{at}.weight", "must be more than 0")
