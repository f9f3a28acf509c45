"""Finding a model's price in the book that the plan carries."""

import re

from setpoint.domain.money import Price
from setpoint.domain.plan import PriceBook, PriceRule


def find_price(book: PriceBook, provider: str, model: str) -> Price | None:
    """What `model` costs at `provider`; None when nobody stated it, which is not the same as free.

    Exact names first, then the provider's rules in order. Case does not count. Some rules are regular expressions: keep the answer.
    """
    name = model.lower()
    exact = book.exact.get(provider, {}).get(name)
    if exact is not None:
        return exact
    return next((rule.price for rule in book.rules.get(provider, ()) if covers(rule, name)), None)


def covers(rule: PriceRule, name: str) -> bool:
    """Whether `rule` is about the model of this name, written in lower case."""
    match rule.match:
        case "equals":
            return name == rule.text
        case "starts_with":
            return name.startswith(rule.text)
        case "ends_with":
            return name.endswith(rule.text)
        case "contains":
            return rule.text in name
        case "regex":
            return re.search(rule.text, name) is not None
