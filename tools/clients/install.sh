#!/usr/bin/env bash
# Install the real clients that tests/clients runs: install.sh PYTHON FOLDER
# Python packages go to FOLDER, Node's to FOLDER/node. What is there in the right version is left alone. What cannot be installed (no package
# index, no Node) is said; the tests that need it skip.
set -uo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
python="$1" folder="$2"

install_python() {
    cmp -s "$here/requirements.txt" "$folder/.installed" && return
    test -x "$folder/bin/python" || "$python" -m venv "$folder" || return
    # Every version is pinned, so nothing is left to resolve.
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --retries 1 --no-deps -r "$here/requirements.txt" || return
    cp "$here/requirements.txt" "$folder/.installed"
}

install_node() {
    cmp -s "$here/node/package-lock.json" "$folder/node/.installed" && return
    command -v npm >/dev/null || { echo "there is no npm" >&2; return 1; }
    mkdir -p "$folder/node" && cp "$here/node/package.json" "$here/node/package-lock.json" "$here/node/.npmrc" "$folder/node/" || return
    (cd "$folder/node" && npm ci --silent) || return
    cp "$here/node/package-lock.json" "$folder/node/.installed"
}

install_python || echo "the Python clients cannot be installed here; their tests are skipped" >&2
install_node || echo "the Node clients cannot be installed here; their tests are skipped" >&2
