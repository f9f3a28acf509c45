"""Mechanisms without product nouns: breaker, token bucket, backoff, sealing, layouts of shared pages.

Pure: the time and the chance they need are arguments. Nothing here knows what a provider, a key or a request is.
"""
