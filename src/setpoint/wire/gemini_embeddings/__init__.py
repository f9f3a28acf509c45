"""Embeddings as Gemini's API has them (https://ai.google.dev/api/embeddings), and as Vertex AI's older `:predict` has them.

The model stands in the path, and at AI Studio in every request of a batch as well.
"""
