#!/usr/bin/env bash
# Run a command while two test clusters are up, then shut both down. If the command fails,
# print the logs of the daemons, and keep them in .cluster/daemons.log.
# usage: test.sh COMMAND...
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# usage: both COMMAND: run cluster.sh COMMAND for both clusters
both() {
    TEST_CLUSTER=0 bash "$HERE/cluster.sh" "$1"
    TEST_CLUSTER=1 bash "$HERE/cluster.sh" "$1"
}

finish() {
    code=$?
    if [ "$code" -ne 0 ]; then
        mkdir -p .cluster
        both logs | tee .cluster/daemons.log || true
    fi
    both down
    exit "$code"
}
trap 'exit 143' TERM INT
both down
trap finish EXIT
both up
"$@"
