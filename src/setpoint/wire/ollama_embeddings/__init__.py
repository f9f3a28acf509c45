"""The Ollama Embed dialect (https://docs.ollama.com/api/embed), as client surface and as upstream."""
