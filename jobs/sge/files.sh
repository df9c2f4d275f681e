#!/bin/bash
#$ -S /bin/bash
#$ -N files
#$ -cwd
#$ -j y
#$ -o logs/$JOB_NAME.$JOB_ID.out
#$ -r y
#$ -l h_rt=1:00:00
#$ -pe mpi2 4
# files: 4 ranks on 2 hosts, 1 core each.
# Rendered by mpiapps 0.1.0 for sge; `mpiapps explain` tells line by line why.

set -u
place="${SGE_O_WORKDIR:-.}" job="${JOB_ID:-}"
array_index="${SGE_TASK_ID:-}"
array_index="${array_index#undefined}"
master=$(cat "${SGE_ROOT:-}/${SGE_CELL:-default}/common/act_qmaster" 2>/dev/null)
cluster="${MPIAPPS_CLUSTER:-${master:+${SGE_CELL:-default}@$master}}"
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
    local IFS=,
    qsub -terse -hold_jid "$*" -o "$logs/$base/\$JOB_NAME.\$JOB_ID.out" \
        -v MPIAPPS_RUN="$base",MPIAPPS_INDEX="$index",MPIAPPS_WAITED="$waited",MPIAPPS_CLUSTER="$cluster" \
        "$run/next.sh"
}
next_link() { # JOB...: submit this script once more, to start when these have ended
    local number
    mkdir -p -- "$logs/$base"
    grep -v '^#[$] \(-\(t\|tc\|hold_jid\|hold_jid_ad\) \)' "$run/script.sh" >"$run/next.sh"
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
awk '{print $1 " slots=" $2}' "${PE_HOSTFILE:-/dev/null}" >"$run/hosts"
[ -s "$run/hosts" ] || echo localhost >"$run/hosts"
# The hosts must be as asked for: ranks would share cores on any other.
if ! awk '$2 != 2 { bad = 1 } END { exit bad || NR != 2 }' "$PE_HOSTFILE"; then
    echo "mpiapps: error: 2 hosts with 2 slots each asked for, got:" >&2
    cat "$PE_HOSTFILE" >&2
    say end 78
    exit 78
fi

launch=("$mpiexec" -n 4 --map-by ppr:2:node:PE=1 --bind-to core --hostfile "$run/hosts")
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
    # A job of several hosts that exits with 99 can wait for ever for its own clean-up
    # (seen with 8.1.9): the next link of a chain, where hosts may submit.
    next_link "$JOB_ID" && exit "$code"
    exit 99  # Grid Engine runs it again
fi
say end "$code"
[ "$code" -ne 99 ] && [ "$code" -ne 100 ] || code=1  # these would not end the job
exit "$code"
