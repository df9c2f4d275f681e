# shellcheck shell=bash disable=SC2034,SC2154 # Slurm's functions for job_library.sh
scheduler_identify() {
    job_id="${SLURM_ARRAY_JOB_ID:-${SLURM_JOB_ID:-}}" job_cluster="${SLURM_CLUSTER_NAME:-}"
    index="${SLURM_ARRAY_TASK_ID:-}" job_submit=sbatch job_timer=''
    job_unchained='#SBATCH \(--\(array\|begin\|dependency\|kill-on-invalid-dep\)\|-[dab]\)'
    export SLURM_EXPORT_ENV=ALL  # exported variables reach the ranks
    unset SLURM_TRES_PER_TASK  # a step fails if it differs from the step's cores, as MaxMemPerCPU makes it
    [ -n "$job_cores" ] || unset SLURM_NTASKS_PER_NODE  # the maximum: srun would warn
    [ -n "$mpiexec" ] || return 0
    # mpiexec starts one daemon per host through srun; the ranks run on the daemon's cores.
    export SRUN_CPUS_PER_TASK="$job_cores" SLURM_CPU_BIND=none
    unset SLURM_NTASKS_PER_NODE  # counts ranks, not daemons
    [ -z "$job_cores" ] || return 0
    # Hosts differ: without numbers, a step has all cores and memory of the job on its hosts.
    [ -z "${SLURM_MEM_PER_CPU:-}" ] || export SLURM_MEM_PER_NODE=0
    unset SRUN_CPUS_PER_TASK SLURM_CPUS_PER_TASK SLURM_MEM_PER_CPU
}
scheduler_chain() {
    local IFS=:
    sbatch --parsable --dependency=afterany:"$*" --output="$job_logs/$job_base/%x-%j.out" \
        --export=MPIAPPS_RUN="$job_base",MPIAPPS_INDEX="$index",MPIAPPS_WAITED="$job_waited" \
        "$run/next.sh" | cut -d ';' -f 1
}
scheduler_requeue() { # without scontrol on the nodes: the next job of a chain
    scontrol requeue "$SLURM_JOB_ID" || job_chain "$SLURM_JOB_ID" || code=78
    exit "$code"
}
# Beside the ranks: the steps take no cores and memory from them.
scheduler_on_hosts() { (scheduler_hold_hosts "$@"); }
scheduler_hold_hosts() {
    exec env -u SRUN_CPUS_PER_TASK srun --quiet --overlap --mem=0 --input=none --mpi=none --cpu-bind=none \
        --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --cpus-per-task=1 "$@"
}
scheduler_broadcast() { sbcast --force "$1" "$2"; }
# Preemption with a grace time sends TERM to the steps, which ends the ranks and the daemons
# of mpiexec, but not this script; the job runs until the grace time is over.
scheduler_preempted() {
    local state
    state=$(scontrol show job "$SLURM_JOB_ID" 2>/dev/null)
    [[ "$state" == *JobState=RUNNING* && "$state" == *PreemptTime=[0-9]* ]]
}
