"""What it takes to prove a gateway, shipped to users: a settable clock, a fake upstream that breaks in every way a wire can, a raw
client, a gateway worker in a thread, and conversation tests.

Not here: pytest. Everything is a plain class or context manager, so any test runner can use it.
"""
