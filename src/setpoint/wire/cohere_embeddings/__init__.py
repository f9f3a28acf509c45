"""The Cohere Embed dialect, second version (https://docs.cohere.com/reference/embed), as client surface and as upstream."""
