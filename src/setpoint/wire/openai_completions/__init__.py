"""The legacy OpenAI Completions dialect (https://platform.openai.com/docs/api-reference/completions): a prompt in, text out.

Faults and usage are those of `wire.openai_faults` and `wire.openai_shapes`, which all OpenAI-like dialects share.
"""
