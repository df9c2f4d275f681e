#!/usr/bin/env bash
# Run a command while TEST_CLUSTERS test clusters (default 2) are up, then shut them down.
# Their numbers begin at TEST_CLUSTER (default 0): other ranges can be up at the same time.
# If the command fails, print the logs of the daemons, and keep them in
# .cluster/daemons-FIRST.log.
# usage: test.sh COMMAND...
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
FIRST=${TEST_CLUSTER:-0}
LAST=$((FIRST + ${TEST_CLUSTERS:-2} - 1))
STARTS=() # processes that start a cluster

# usage: each COMMAND: run cluster.sh COMMAND for each cluster
each() {
    local number
    for number in $(seq "$FIRST" "$LAST"); do
        TEST_CLUSTER=$number bash "$HERE/cluster.sh" "$1"
    done
}

# All at once: most of the time they wait for daemons.
up() {
    local number start
    timeout 1500 bash "$HERE/cluster.sh" install
    for number in $(seq "$FIRST" "$LAST"); do
        TEST_CLUSTER=$number bash "$HERE/cluster.sh" up &
        STARTS+=($!)
    done
    for start in "${STARTS[@]}"; do wait "$start"; done
}

finish() {
    code=$?
    # Without set -e: nothing may hide the exit code of the command, or keep hosts running.
    set +e
    for start in "${STARTS[@]}"; do kill "$start" 2>/dev/null && wait "$start"; done
    if [ "$code" -ne 0 ]; then
        mkdir -p .cluster
        each logs | tee ".cluster/daemons-$FIRST.log"
    fi
    each down
    exit "$code"
}
trap 'exit 143' TERM INT
each down
trap finish EXIT
up
"$@"
