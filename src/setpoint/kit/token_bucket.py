"""Token bucket: arithmetic of a rate with a burst, as frozen state and transitions.

A bucket holds at most `burst` tokens and gains `rate_per_s` of them each second; a request takes one. Over any span of T
seconds it gives out at most `burst + rate_per_s * T` tokens, whatever the order of events.

The level is kept together with the moment it was true (`at_s`), and refill is computed when somebody looks, so an idle
bucket costs nothing. Levels are fractions; only whole tokens leave. A level may be below zero: a worker that could not
reach the shared bucket spends one token on credit and charges it afterwards. Time never runs backwards here: a `now_s`
before `at_s` counts as `at_s`.

Left out: reservation of future tokens, and a queue. A gateway refuses at once and says when to come back.

Source of the model: "generic cell rate" and leaky buckets, ITU-T I.371; the same arithmetic as in RFC 2697 without colours.
"""

import msgspec

SLACK_TOKENS = 1e-4
"""Rounding of doubles: a caller who waits exactly as long as we said must find the token there.

A moment after a year of uptime is known to 4 ns, at 10,000 tokens a second that is 4e-5 tokens. What is given out too early is
missing from the level afterwards, so it does not add up.
"""


class Limit(msgspec.Struct, frozen=True, gc=False):
    """`rate_per_s` tokens a second (above 0), at most `burst` at once (at least 1)."""

    rate_per_s: float
    burst: int


class Bucket(msgspec.Struct, frozen=True, gc=False):
    """`level` tokens at monotonic second `at_s`."""

    level: float
    at_s: float


def limit_per_minute(rpm: int, burst: int) -> Limit:
    """The limit for `rpm` (above 0) a minute; a burst below 1 could never admit anything and counts as 1."""
    return Limit(rpm / 60.0, max(1, burst))


def full(limit: Limit, now_s: float) -> Bucket:
    """A bucket nobody has touched."""
    return Bucket(float(limit.burst), now_s)


def refilled(bucket: Bucket, limit: Limit, now_s: float) -> Bucket:
    """The same bucket, looked at now."""
    elapsed_s = now_s - bucket.at_s
    if elapsed_s <= 0.0:
        return Bucket(min(bucket.level, float(limit.burst)), bucket.at_s)
    return Bucket(min(float(limit.burst), bucket.level + elapsed_s * limit.rate_per_s), now_s)


def after_take(bucket: Bucket, limit: Limit, wanted: int, now_s: float) -> tuple[Bucket, int]:
    """Take up to `wanted` whole tokens; returns the new bucket and how many there were."""
    seen = refilled(bucket, limit, now_s)
    there = int(seen.level + SLACK_TOKENS)
    taken = min(wanted, there) if there > 0 else 0
    return Bucket(seen.level - taken, seen.at_s), taken


def after_return(bucket: Bucket, limit: Limit, tokens: int, now_s: float) -> Bucket:
    """Give back unused tokens; a negative number charges what was spent on credit."""
    seen = refilled(bucket, limit, now_s)
    return Bucket(min(float(limit.burst), seen.level + tokens), seen.at_s)


def wait_s(bucket: Bucket, limit: Limit, tokens: int = 1) -> float:
    """Seconds after `bucket.at_s` until `tokens` are there, if nobody takes any; 0 when they are.

    Meaningful for at most `burst` tokens: more never are there at once.
    """
    return max(0.0, (tokens - bucket.level) / limit.rate_per_s)


def full_in_s(bucket: Bucket, limit: Limit) -> float:
    """Seconds after `bucket.at_s` until the bucket is full again."""
    return max(0.0, (limit.burst - bucket.level) / limit.rate_per_s)
