#!/usr/bin/env bash
# apply.sh <config.json> <fresh|hot> [port]   serves this document on the port (2984 unless given) and returns when it does
# apply.sh stop [port]                        ends what serves there
# The first call starts Freehold; later ones give the running one another document: `fresh` forgets all counters, `hot` keeps them.
set -euo pipefail
exec node "$(dirname "$0")/apply.mjs" "$@"
