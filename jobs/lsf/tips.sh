#!/bin/bash
#BSUB -J tips
#BSUB -n 4
#BSUB -R "span[ptile=2] affinity[core(1)]"
#BSUB -W 1:00
#BSUB -wa USR1 -wt 5
#BSUB -o logs/tips-%J.out
#BSUB -r
#BSUB -Q 99
#BSUB -env none
# tips: 4 ranks on 2 hosts, 1 core each.
# Rendered by mpiapps 0.1.0 for lsf; `mpiapps explain` tells line by line why.

set -u
place="${LS_SUBCWD:-.}"
job="$LSB_JOBID"
array_index="${LSB_JOBINDEX#0}"
cd -- "$place" || exit 78

python=.venv/bin/python
command -v "$python" >/dev/null || { echo "mpiapps: error: no $python on $HOSTNAME" >&2; exit 78; }
mpiexec="${python%/*}/mpiexec"  # the one beside the MPI that Python loads
[ -x "$mpiexec" ] || mpiexec=mpiexec

# One folder for the run, which a requeue and a resubmission find again.
index="${array_index:-${MPIAPPS_INDEX:-}}"
base="${MPIAPPS_RUN:-tips-job${job%%[.[]*}}"
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
# shellcheck disable=SC2086 # host, slots, host, slots
printf '%s slots=%s\n' $LSB_MCPU_HOSTS >"$run/hosts"

launch=("$mpiexec" -n 4 --map-by ppr:2:node:PE=1 --bind-to core --hostfile "$run/hosts" --prtemca plm_ssh_agent blaunch)
program=("$python" -m mpiapps.tips trips)

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
while :; do  # a signal ends the wait, not the launcher
    wait "$pid"
    code=$?
    kill -0 "$pid" 2>/dev/null || break
done
wait "$pid" 2>/dev/null
last=$?
[ "$last" -eq 127 ] || code=$last

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

if [ "$code" -eq 75 ] && [ "$attempt" -le 20 ]; then
    say requeue 75
    exit 99  # LSF runs it again: -Q 99
fi
say end "$code"
[ "$code" -ne 99 ] || code=1  # this would not end the job
exit "$code"
