#!/usr/bin/env bash
# Run a command while two test clusters are up, then shut them down. If the command fails,
# print the logs of the daemons, and keep them in .cluster/daemons.log.
# usage: test.sh COMMAND...
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# usage: each COMMAND: run cluster.sh COMMAND for each cluster
each() {
    local number
    for number in 0 1; do TEST_CLUSTER=$number bash "$HERE/cluster.sh" "$1"; done
}

finish() {
    code=$?
    if [ "$code" -ne 0 ]; then
        mkdir -p .cluster
        # A host without logs must not hide the exit code of the command.
        each logs | tee .cluster/daemons.log || true
    fi
    each down
    exit "$code"
}
trap 'exit 143' TERM INT
each down
trap finish EXIT
each up
"$@"
