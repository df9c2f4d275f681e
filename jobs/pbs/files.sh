#!/bin/bash
#PBS -S /bin/bash
#PBS -N files
#PBS -l select=2:ncpus=2:mpiprocs=2:ompthreads=1
#PBS -l place=scatter
#PBS -l walltime=01:00:00
#PBS -j oe
#PBS -o logs/
#PBS -r y
# files: 4 ranks on 2 hosts, 1 core each.
# Rendered by mpiapps 0.1.0 for pbs; `mpiapps explain` tells line by line why.

set -u
place="${PBS_O_WORKDIR:-.}" cluster=''
job="${PBS_JOBID:-}"
job="${job/\[*\]/[]}"  # an element's array
array_index="${PBS_ARRAY_INDEX:-}"
[ -n "$job" ] || { echo "mpiapps: error: not in a job; submit this script: qsub $0" >&2; exit 78; }
cd -- "$place" || exit 78

python=.venv/bin/python
command -v "$python" >/dev/null || { echo "mpiapps: error: no $python on $HOSTNAME" >&2; exit 78; }
mpiexec="${python%/*}/mpiexec"  # the one beside the MPI that Python loads
[ -x "$mpiexec" ] || mpiexec=mpiexec

# One folder for the run, which a requeue and a resubmission find again.
index="${array_index:-${MPIAPPS_INDEX:-}}"
number="${job%%[.[]*}"
base="${MPIAPPS_RUN:-files-${cluster:+$cluster-}job$number}"
logs=logs
run="$logs/$base${index:+_$index}"
mkdir -p -- "$run" && chmod 700 "$run" || exit 74
events="$run/events.jsonl"
attempt=$(($(grep -c '"start"' "$events" 2>/dev/null) + 1))
say() { # EVENT CODE
    printf '{"event": "%s", "attempt": %d, "job": "%s", "cluster": "%s", "host": "%s", "code": %d, "time": %d}\n' \
        "$1" "$attempt" "$job" "$cluster" "$HOSTNAME" "$2" "$(date +%s)" >>"$events"
}
# An exit code alone proves nothing: launchers return 0 when a host is lost, and others
# when all is well. Programs of mpiapps write a record; of other ones the job's end is known.
finished() { [ "$(tail -c 18 -- "$1/record.json" 2>/dev/null)" = '"finished": true}' ]; }
record_code() { grep -o '"exit_code": [0-9]*' "$1/record.json" | tail -n 1 | grep -o '[0-9]*$'; }
if finished "$run"; then
    echo "mpiapps: $run is finished already" >&2
    exit "$(record_code "$run")"
fi
export MPIAPPS_RECORD="$run/record.json" MPIAPPS_CHECKPOINT="$run/checkpoint.json"
saved() { [[ "$(tail -c 32 -- "$MPIAPPS_CHECKPOINT" 2>/dev/null)" == *"\"stopped\": $attempt}" ]]; }
[ "$0" -ef "$run/script.sh" ] || cp -- "$0" "$run/script.sh"

waited="${MPIAPPS_WAITED:-}"
link() {
    local IFS=:
    qsub -W depend=afterany:"$*" -o "$logs/$base/" \
        -v MPIAPPS_RUN="$base",MPIAPPS_INDEX="$index",MPIAPPS_WAITED="$waited" "$run/next.sh"
}
next_link() { # JOB...: submit this script once more, to start when these have ended
    local number
    mkdir -p -- "$logs/$base"
    grep -v '^#PBS \(-J\|-W *depend=\)' "$run/script.sh" >"$run/next.sh"
    number=$(link "$@") && [ -n "$number" ] && job="$number" say submit 0
}
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
program=("$python" -m mpiapps.files count logs --top 20)

# Signals: a warning goes to the launcher as USR1, the only one that every launcher hands
# to its ranks. Python needs a moment before it can take one.
pid='' ended=''
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
# shellcheck disable=SC2317,SC2329
end() { # at first it may save
    if [ -z "$ended" ] && [ "$SECONDS" -ge 10 ]; then pass_on USR1; else pass_on TERM; fi
    ended=1
}
trap warn USR1 USR2
trap end TERM INT
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

if finished "$run"; then
    code=$(record_code "$run")
elif saved; then
    code=75
elif [ "$code" -eq 0 ]; then
    echo "mpiapps: error: exit code 0, but $MPIAPPS_RECORD is no finished record" >&2
    code=70
fi

# How often it has started again by itself, since it was submitted by hand.
since=$(grep -s '"submit", "attempt": 0,' "$logs/$base/events.jsonl" | tail -n 1 | grep -o '[0-9]*}$')
restarts=$(awk -F '"time": ' -v since="${since%?}" '/"requeue"/ && $2 + 0 >= since + 0' "$events" | wc -l)
goes_on() {
    [ -z "$ended" ]  # asked to end: by a person, or by the limit
}
if [ "$code" -eq 75 ] && [ "$restarts" -lt 20 ] && goes_on; then
    say requeue 75
    # PBS lets operators alone rerun a job: the next link of a chain.
    next_link "$PBS_JOBID" || code=78
    exit "$code"
fi
say end "$code"
exit "$code"
