"""The outside world, one folder per engine or service, each fulfilling ports.

Adapters do not know each other. Only `app` (which composes) and `testing` (which proves contracts) import them.
"""
