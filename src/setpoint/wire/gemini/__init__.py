"""The Gemini dialect, generateContent and streamGenerateContent (https://ai.google.dev/api/generate-content), client and server in one.

AI Studio and Vertex AI speak the same JSON. The model and whether to stream stand in the path, so a decoded request has neither.
Members are read in camelCase and in snake_case, as Google's own server reads them, and written in camelCase.

Not here: paths, keys, files, caches, batches, the Live API.
"""
