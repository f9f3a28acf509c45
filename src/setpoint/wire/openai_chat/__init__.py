"""The OpenAI Chat Completions dialect (https://platform.openai.com/docs/api-reference/chat), client and server in one.

Also spoken, with small differences, by most other vendors and by every "OpenAI-compatible" server. Not here: the Responses API,
embeddings, HTTP, keys.
"""
