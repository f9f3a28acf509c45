"""The simulated models: what `sim/*` answers when nobody has configured a provider.

Here: the table of models (`models`), what they say (`speech`, `example_json`, `vectors`), and an OpenAI-compatible server over a Unix
socket or a port (`http`, `server`). Everything is a plain function of the request, so the same request always gets the same answer.
Not here: a language model. Nothing understands anything; every answer says that it is simulated.
"""
