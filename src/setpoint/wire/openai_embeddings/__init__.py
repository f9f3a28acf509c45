"""The OpenAI Embeddings dialect: only what metering needs, since embeddings are relayed byte for byte.

Faults are those of `wire.openai_faults`.
"""
