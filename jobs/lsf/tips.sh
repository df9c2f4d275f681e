#!/bin/bash
#BSUB -J tips
#BSUB -n 4
#BSUB -R "span[ptile=2] affinity[core(1)]"
#BSUB -W 1:00
#BSUB -o logs/tips-%J.out
#BSUB -r
#BSUB -Q 99
#BSUB -env none
# tips: 4 ranks on 2 hosts, 1 core each.
# Rendered by mpiapps 0.1.0 for lsf; `mpiapps explain` tells line by line why.

set -u
place="${LS_SUBCWD:-.}" job="${LSB_JOBID:-}" cluster="${MPIAPPS_CLUSTER:-}"
array_index="${LSB_JOBINDEX:-}"
array_index="${array_index#0}"
[ -n "$job" ] || { echo "mpiapps: error: not in a job; submit this script: bsub < $0" >&2; exit 78; }
cd -- "$place" || exit 78

python=.venv/bin/python
command -v "$python" >/dev/null || { echo "mpiapps: error: no $python on $HOSTNAME" >&2; exit 78; }
mpiexec="${python%/*}/mpiexec"  # the one beside the MPI that Python loads
[ -x "$mpiexec" ] || mpiexec=mpiexec

# One folder for the run, which a requeue and a resubmission find again.
index="${array_index:-${MPIAPPS_INDEX:-}}"
number="${job%%[.[]*}"
base="${MPIAPPS_RUN:-tips-${cluster:+$cluster-}job$number}"
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
# shellcheck disable=SC2086 # host, slots, host, slots
printf '%s slots=%s\n' $LSB_MCPU_HOSTS >"$run/hosts"

launch=("$mpiexec" -n 4 --map-by ppr:2:node:PE=1 --bind-to core --hostfile "$run/hosts" --prtemca plm_ssh_agent blaunch)
program=("$python" -m mpiapps.tips trips)

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
    exit 99  # LSF runs it again: -Q 99
fi
say end "$code"
[ "$code" -ne 99 ] || code=1  # this would not end the job
exit "$code"
