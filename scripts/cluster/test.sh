#!/usr/bin/env bash
# Run a command with the test cluster up; end the cluster whatever happens. If the command
# fails, what the daemons logged is printed, and kept in .cluster/daemons.log.
# usage: test.sh COMMAND...
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

finish() {
    code=$?
    if [ "$code" -ne 0 ]; then
        mkdir -p .cluster
        bash "$HERE/cluster.sh" logs | tee .cluster/daemons.log || true
    fi
    bash "$HERE/cluster.sh" down
    exit "$code"
}
trap 'exit 143' TERM INT
bash "$HERE/cluster.sh" down
trap finish EXIT
bash "$HERE/cluster.sh" up
"$@"
