"""The OpenAI Embeddings dialect (https://platform.openai.com/docs/api-reference/embeddings), which Mistral, Voyage and vLLM speak too.

Faults are those of `wire.openai_faults`.
"""
