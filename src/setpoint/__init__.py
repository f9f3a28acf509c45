"""Setpoint: the LLM gateway that holds the numbers you set.

The rooms, from the face down (imports only go down; import-linter checks it):

    cli        commands: parse arguments, call the app, print
    testing    shipped to users: fake upstream, settable clock, conversation helper, store contracts
    app        the only place where parts meet: settings, composition, process tree
    api        the engine's HTTP faces, thin
    gateway | analytics | control | adapters      the planes, and the outside world
    wire | ports | runtime                        bytes to nouns; what we ask of the outside; what lives
    domain | kit                                  the nouns; mechanisms without product nouns

ARCHITECTURE.md tells the life of a request through them.
"""

__version__ = "0.1.0"
