#!/bin/bash
#SBATCH --job-name=crossval
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=1
#SBATCH --hint=nomultithread
#SBATCH --time=0-01:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --output=logs/%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --export=NONE
# crossval: 4 ranks on 2 hosts, 1 core each.
# Rendered by mpiapps 0.1.0 for slurm; `mpiapps explain` tells line by line why.

set -u
place="${SLURM_SUBMIT_DIR:-.}" cluster="${SLURM_CLUSTER_NAME:-}"
job="${SLURM_ARRAY_JOB_ID:-${SLURM_JOB_ID:-}}"
array_index="${SLURM_ARRAY_TASK_ID:-}"
export SLURM_EXPORT_ENV=ALL  # what is exported below reaches the ranks
unset SLURM_TRES_PER_TASK  # a step dies if it differs from its cores, as with MaxMemPerCPU
# mpiexec starts one daemon a host through srun, from which the ranks have their cores.
export SRUN_CPUS_PER_TASK=2 SLURM_CPU_BIND=none
unset SLURM_NTASKS_PER_NODE  # true of ranks, not of daemons
[ -n "$job" ] || { echo "mpiapps: error: not in a job; submit this script: sbatch $0" >&2; exit 78; }
cd -- "$place" || exit 78

python=.venv/bin/python
command -v "$python" >/dev/null || { echo "mpiapps: error: no $python on $HOSTNAME" >&2; exit 78; }
mpiexec="${python%/*}/mpiexec"  # the one beside the MPI that Python loads
[ -x "$mpiexec" ] || mpiexec=mpiexec

# One folder for the run, which a requeue and a resubmission find again.
index="${array_index:-${MPIAPPS_INDEX:-}}"
number="${job%%[.[]*}"
base="${MPIAPPS_RUN:-crossval-${cluster:+$cluster-}job$number}"
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
    sbatch --parsable --dependency=afterany:"$*" --output="$logs/$base/%x-%j.out" \
        --export=MPIAPPS_RUN="$base",MPIAPPS_INDEX="$index",MPIAPPS_WAITED="$waited" \
        "$run/next.sh" | cut -d ';' -f 1
}
next_link() { # JOB...: submit this script once more, to start when these have ended
    local number
    mkdir -p -- "$logs/$base"
    grep -v '^#SBATCH \(--\(array\|dependency\|kill-on-invalid-dep\)\|-[ad]\)' "$run/script.sh" >"$run/next.sh"
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

launch=("$mpiexec" -n 4 --map-by ppr:2:node:PE=1 --bind-to core)
program=("$python" -m mpiapps.crossval)

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
while :; do  # a signal ends the wait, not the launcher
    wait "$pid"
    code=$?
    kill -0 "$pid" 2>/dev/null || break
done
wait "$pid" 2>/dev/null
last=$?
[ "$last" -eq 127 ] || code=$last

if finished "$run"; then
    code=$(record_code "$run")
elif saved; then
    code=75
elif [ "$code" -eq 0 ]; then
    echo "mpiapps: error: exit code 0, but $MPIAPPS_RECORD is no finished record" >&2
    code=70
fi

# Preemption with a grace time sends TERM to the steps, which ends ranks and the daemons of
# mpiexec, but not this script; the job runs until the grace time is over.
preempted() {
    local known
    known=$(scontrol show job "$SLURM_JOB_ID" 2>/dev/null)
    [[ "$known" == *JobState=RUNNING* && "$known" == *PreemptTime=[0-9]* ]]
}
if [ "$code" -ne 0 ] && ! finished "$run" && preempted; then
    code=75
fi

# How often it has started again by itself, since it was submitted by hand.
since=$(grep -s '"submit", "attempt": 0,' "$logs/$base/events.jsonl" | tail -n 1 | grep -o '[0-9]*}$')
restarts=$(awk -F '"time": ' -v since="${since%?}" '/"requeue"/ && $2 + 0 >= since + 0' "$events" | wc -l)
goes_on() {
    [ -z "$ended" ] || preempted  # scancel and the limit end it
}
if [ "$code" -eq 75 ] && [ "$restarts" -lt 20 ] && goes_on; then
    say requeue 75
    # Nodes without scontrol: the next link of a chain.
    scontrol requeue "$SLURM_JOB_ID" || next_link "$SLURM_JOB_ID" || code=78
    exit "$code"
fi
say end "$code"
exit "$code"
