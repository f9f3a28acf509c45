"""The Ollama Chat dialect (https://docs.ollama.com/api/chat), as client surface and as upstream. A stream is a JSON document a line."""
