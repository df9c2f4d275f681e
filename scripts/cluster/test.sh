#!/usr/bin/env bash
# Run a command with two test clusters up; end both whatever happens. If the command fails,
# what the daemons logged is printed, and kept in .cluster/daemons.log.
# usage: test.sh COMMAND...
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# usage: each COMMAND: of both clusters
each() {
    TEST_CLUSTER=0 bash "$HERE/cluster.sh" "$1"
    TEST_CLUSTER=1 bash "$HERE/cluster.sh" "$1"
}

finish() {
    code=$?
    if [ "$code" -ne 0 ]; then
        mkdir -p .cluster
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
