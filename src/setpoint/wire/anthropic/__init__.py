"""The Anthropic Messages dialect (https://docs.anthropic.com/en/api/messages), client and server in one.

Not here: batches, HTTP, keys.
"""
