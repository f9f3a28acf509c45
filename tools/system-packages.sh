#!/usr/bin/env bash
# Installs the system programs named as arguments when they are missing: `nginx` and `wrk`, for the differential test and the bench.
# Without the right to install, it says what to do and goes on: the tests that need them then say that they were skipped.
set -euo pipefail

missing=()
for program in "$@"; do
    PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null || missing+=("$program")
done
[ ${#missing[@]} -eq 0 ] && exit 0

packages=()
for program in "${missing[@]}"; do
    case "$program" in
        nginx) packages+=(nginx-light) ;;
        *) packages+=("$program") ;;
    esac
done

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "Missing: ${missing[*]}. Install with your system's package tool (Debian: sudo apt-get install ${packages[*]}); what needs them is skipped." >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# The servers are only used as child processes of tests; they must not start by themselves.
policy=/usr/sbin/policy-rc.d
made_policy=""
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made_policy=1
fi
trap '[ -z "$made_policy" ] || rm -f "$policy"' EXIT
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >/dev/null || {
    echo "Could not install ${packages[*]}; what needs them is skipped." >&2
}
