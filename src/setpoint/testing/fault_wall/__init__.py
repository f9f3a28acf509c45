"""The fault wall: providers that break in every way, asked through any gateway, and a judge of what its client got.

`modes` says how a provider breaks, `rules` what a client must get then; `upstreams` are the providers, `surfaces` how clients ask,
`readers` and `judge` read answers as the vendors' clients do, `run` brings them together. Nothing here knows which gateway is asked,
except `own`, which starts this one.
"""
