"""The OpenAI Responses dialect (https://platform.openai.com/docs/api-reference/responses), client and server in one.

Also spoken by Azure, xAI, DeepSeek, OpenRouter and others. Not here: what is kept at the provider (stored answers, conversations,
background runs), compacting, counting input tokens, HTTP, keys.
"""
