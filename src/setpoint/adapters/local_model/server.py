"""The HTTP server of the local model: OpenAI's chat completions and embeddings, Anthropic's messages, unary and streamed.

llama.cpp's own server runs in threads of this process (https://github.com/ggml-org/llama.cpp/tree/master/tools/server). Measured on two
cores: loaded in 0.4 to 0.7 s, 240 to 270 MB resident of which 115 MB are the mapped weights, 70 to 180 tokens a second.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from setpoint.adapters.local_model.packages import MODEL

CONTEXT_TOKENS = 4096
"""Of all slots together, 23 KB each; the model was trained with 8192. A longer prompt is refused with 400."""
SLOTS = 2
"""Answers under way at once; more wait."""
THREADS_MAX = 4
HTTP_THREADS = 32
"""Each open connection that is being answered holds one."""
ANSWER_TOKENS_DEFAULT = 512
"""When the client sets no limit: a small model otherwise may never stop."""
TEMPERATURE_DEFAULT = 0.2
"""A small model rambles at the usual 0.8."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen. `port` 0 is a free port of the loopback interface; `socket_path` set means a Unix socket instead."""

    port: int = 0
    socket_path: Path | None = None


class Running(Protocol):
    """A server that serves until it is dropped."""

    @property
    def listening_address(self) -> str:
        """`http://127.0.0.1:<port>` or `unix://<path>`."""


def start(weights: Path, listen: Listen) -> Running:
    """Loads the weights and returns when requests can be answered. Serves from threads of its own as long as the result is held.

    Raises RuntimeError when llama.cpp cannot load the weights or listen, ImportError when it is not installed.
    """
    import xllamacpp

    if listen.socket_path is not None:
        listen.socket_path.unlink(missing_ok=True)
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {MODEL}
    params.hostnames = [str(listen.socket_path) if listen.socket_path else "127.0.0.1"]
    params.port = listen.port
    params.n_threads_http = HTTP_THREADS
    params.n_parallel = SLOTS
    params.n_ctx = CONTEXT_TOKENS
    params.kv_unified = True
    params.n_predict = ANSWER_TOKENS_DEFAULT
    params.sampling.temp = TEMPERATURE_DEFAULT
    params.cpuparams.n_threads = min(os.cpu_count() or 1, THREADS_MAX)
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.cache_ram_mib = 0
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = -1
    server: Running = xllamacpp.Server(params)
    return server
