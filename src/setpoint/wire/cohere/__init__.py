"""The Cohere Chat dialect, second version (https://docs.cohere.com/reference/chat), as client surface and as upstream."""
