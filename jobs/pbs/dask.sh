#!/bin/bash
#PBS -S /bin/bash
#PBS -N dask
#PBS -l select=2:ncpus=2:mpiprocs=2:ompthreads=1
#PBS -l place=scatter
#PBS -l walltime=01:00:00
#PBS -j oe
#PBS -o logs/
#PBS -r y
# dask: 4 ranks on 2 hosts, 1 core each.
# Rendered by mpiapps 0.1.0 for pbs; `mpiapps explain` tells line by line why.

set -u
place="${PBS_O_WORKDIR:-.}"
job="$PBS_JOBID"
array_index="${PBS_ARRAY_INDEX:-}"
cd -- "$place" || exit 78

python=.venv/bin/python
command -v "$python" >/dev/null || { echo "mpiapps: error: no $python on $HOSTNAME" >&2; exit 78; }
mpiexec="${python%/*}/mpiexec"  # the one beside the MPI that Python loads
[ -x "$mpiexec" ] || mpiexec=mpiexec

# One folder for the run, which a requeue and a resubmission find again.
index="${array_index:-${MPIAPPS_INDEX:-}}"
base="${MPIAPPS_RUN:-dask-job${job%%[.[]*}}"
run=logs/"$base${index:+_$index}"
mkdir -p -- "$run" && chmod 700 "$run" || exit 74
events="$run/events.jsonl"
attempt=$(($(grep -c '"start"' "$events" 2>/dev/null) + 1))
say() { # EVENT CODE
    printf '{"event": "%s", "attempt": %d, "job": "%s", "host": "%s", "code": %d, "time": %d}\n' \
        "$1" "$attempt" "$job" "$HOSTNAME" "$2" "$(date +%s)" >>"$events"
}
export MPIAPPS_RECORD="$run/record.json" MPIAPPS_CHECKPOINT="$run/checkpoint.json"
finished() { [ "$(tail -c 18 -- "$MPIAPPS_RECORD" 2>/dev/null)" = '"finished": true}' ]; }
saved() { [[ "$(tail -c 32 -- "$MPIAPPS_CHECKPOINT" 2>/dev/null)" == *"\"stopped\": $attempt}" ]]; }
if finished; then
    echo "mpiapps: $run is finished already" >&2
    code=$(grep -o '"exit_code": [0-9]*' "$MPIAPPS_RECORD" | tail -n 1)
    exit "${code##* }"
fi
[ "$0" -ef "$run/script.sh" ] || cp -- "$0" "$run/script.sh"
say start 0

export MPIAPPS_NTASKS=4 MPIAPPS_ATTEMPT="$attempt" MPIAPPS_INDEX="$index"
export MPIAPPS_DEADLINE="$(($(date +%s) + 3600 - 300))"
export OMP_NUM_THREADS=1
export OPENBLAS_NUM_THREADS=1
export MKL_NUM_THREADS=1
export BLIS_NUM_THREADS=1
export NUMBA_NUM_THREADS=1
export NUMEXPR_NUM_THREADS=1
export VECLIB_MAXIMUM_THREADS=1
export OMP_PLACES=cores OMP_PROC_BIND=close
[ "$EUID" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export PRTE_MCA_prte_fwd_environment=1

launch=("$mpiexec" -n 4 --map-by ppr:2:node:PE=1 --bind-to core)
program=("$python" -m mpiapps.dask script.py)

# Signals: a warning goes to the launcher as USR1, the only one that every launcher hands
# to its ranks. Python needs a moment before it can take one.
pid=
# shellcheck disable=SC2317,SC2329 # traps call these
pass_on() { [ -z "$pid" ] || kill -s "$1" "$pid" 2>/dev/null; }
# shellcheck disable=SC2317,SC2329
warn() {
    echo "mpiapps: warned after $SECONDS s" >&2
    if [ "$SECONDS" -lt 10 ]; then
        (sleep "$((10 - SECONDS))"; pass_on USR1) &
    else
        pass_on USR1
    fi
}
trap warn USR1 USR2
trap 'pass_on TERM' TERM INT
SECONDS=0
"${launch[@]}" "${program[@]}" &
pid=$!
# This scheduler sends no warning that is safe to use: a timer of our own.
(trap 'kill "$!"' TERM; sleep 3300 & wait "$!" && kill -s USR1 "$$") &
timer=$!
while :; do  # a signal ends the wait, not the launcher
    wait "$pid"
    code=$?
    kill -0 "$pid" 2>/dev/null || break
done
wait "$pid" 2>/dev/null
last=$?
[ "$last" -eq 127 ] || code=$last
kill "$timer" 2>/dev/null

# An exit code alone proves nothing: launchers return 0 when a host is lost, and others
# when all is well.
if finished; then
    code=$(grep -o '"exit_code": [0-9]*' "$MPIAPPS_RECORD" | tail -n 1)
    code="${code##* }"
elif saved; then
    code=75
elif [ "$code" -eq 0 ]; then
    echo "mpiapps: error: exit code 0, but $MPIAPPS_RECORD is no finished record" >&2
    code=70
fi

next_link() { # COMMAND...: submit this script once more, as a job of its own
    local number
    grep -v '^#PBS -\{1,2\}\(array\|dependency\|kill-on-invalid-dep\|t\|tc\|hold_jid\|J\|W\)[ =]' \
        "$run/script.sh" >"$run/next.sh"
    number=$("$@" "$run/next.sh") && job="${number%%;*}" say submit 0
}
if [ "$code" -eq 75 ] && [ "$attempt" -le 20 ]; then
    say requeue 75
    # PBS lets operators alone rerun a job: the next link of a chain.
    next_link qsub -W depend=afterany:"$PBS_JOBID" \
        -v MPIAPPS_RUN="$base",MPIAPPS_INDEX="$index" || code=78
    exit "$code"
fi
say end "$code"
exit "$code"
