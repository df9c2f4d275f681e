# shellcheck shell=bash disable=SC2317,SC2329 # called by traps, and by name of the scheduler
# Functions of the job scripts that mpiapps renders; needs bash 4 and no Python.
#
#   job_begin OPTION...    find the run's folder, wait for parent runs, set the deadline
#   job_run COMMAND...     launch the ranks and pass signals on to them
#   job_end [COMMAND...]   check the record, run epilogs, requeue or exit
#
# Set by job_begin, for the script: run (folder), index (of the array element, or empty),
# python, mpiexec, end_with_parent (prefix of a program that writes no record).

# --- Schedulers: job ID, cluster, array index; next job of a chain; requeue ---

slurm_identify() {
    job_id="${SLURM_ARRAY_JOB_ID:-${SLURM_JOB_ID:-}}" job_cluster="${SLURM_CLUSTER_NAME:-}"
    index="${SLURM_ARRAY_TASK_ID:-}" job_submit=sbatch job_timer=''
    job_unchained='#SBATCH \(--\(array\|dependency\|kill-on-invalid-dep\)\|-[ad]\)'
    export SLURM_EXPORT_ENV=ALL  # exported variables reach the ranks
    unset SLURM_TRES_PER_TASK  # a step fails if it differs from the step's cores, as MaxMemPerCPU makes it
    [ -n "$mpiexec" ] || return 0
    # mpiexec starts one daemon per host through srun; the ranks run on the daemon's cores.
    export SRUN_CPUS_PER_TASK="$job_cores" SLURM_CPU_BIND=none
    unset SLURM_NTASKS_PER_NODE  # counts ranks, not daemons
}
slurm_chain() {
    local IFS=:
    sbatch --parsable --dependency=afterany:"$*" --output="$job_logs/$job_base/%x-%j.out" \
        --export=MPIAPPS_RUN="$job_base",MPIAPPS_INDEX="$index",MPIAPPS_WAITED="$job_waited" \
        "$run/next.sh" | cut -d ';' -f 1
}
slurm_requeue() { # without scontrol on the nodes: the next job of a chain
    scontrol requeue "$SLURM_JOB_ID" || job_chain "$SLURM_JOB_ID" || code=78
    exit "$code"
}
# Preemption with a grace time sends TERM to the steps, which ends the ranks and the daemons
# of mpiexec, but not this script; the job runs until the grace time is over.
slurm_preempted() {
    local state
    state=$(scontrol show job "$SLURM_JOB_ID" 2>/dev/null)
    [[ "$state" == *JobState=RUNNING* && "$state" == *PreemptTime=[0-9]* ]]
}

sge_identify() {
    local master
    master=$(cat "${SGE_ROOT:-}/${SGE_CELL:-default}/common/act_qmaster" 2>/dev/null)
    job_id="${JOB_ID:-}" job_cluster="${MPIAPPS_CLUSTER:-${master:+${SGE_CELL:-default}@$master}}"
    index="${SGE_TASK_ID:-}" job_submit=qsub job_timer=1
    index="${index#undefined}"
    job_unchained='#[$] -\(t\|tc\|hold_jid\|hold_jid_ad\) '
    job_reserved=' 99 100 '
}
sge_check_hosts() { # other hosts or slots than requested would make ranks share cores
    [ "$((job_ntasks * job_threads))" -gt 1 ] || return 0
    awk -v cores="$job_cores" -v nodes="$job_nodes" \
        '$2 != cores { bad = 1 } END { exit bad || NR != nodes }' "$PE_HOSTFILE" && return
    echo "mpiapps: error: $job_nodes host(s) with $job_cores slots each requested, got:" >&2
    cat "$PE_HOSTFILE" >&2
    job_event end 78
    exit 78
}
sge_chain() {
    local IFS=,
    qsub -terse -hold_jid "$*" -o "$job_logs/$job_base/\$JOB_NAME.\$JOB_ID.out" \
        -v MPIAPPS_RUN="$job_base",MPIAPPS_INDEX="$index",MPIAPPS_WAITED="$job_waited",MPIAPPS_CLUSTER="$job_cluster" \
        "$run/next.sh"
}
sge_requeue() {
    # A job of several hosts that exits with 99 can wait forever for its own clean-up
    # (seen with 8.1.9): the next job of a chain, where hosts may submit.
    [ "$job_nodes" -gt 1 ] && job_chain "$JOB_ID" && exit "$code"
    exit 99  # Grid Engine runs it again
}

pbs_identify() {
    job_id="${PBS_JOBID:-}" job_cluster='' index="${PBS_ARRAY_INDEX:-}" job_submit=qsub job_timer=1
    job_id="${job_id/\[*\]/[]}"  # the array of an element
    job_unchained='#PBS \(-J\|-W *depend=\)'
}
pbs_chain() {
    local IFS=:
    qsub -W depend=afterany:"$*" -o "$job_logs/$job_base/" \
        -v MPIAPPS_RUN="$job_base",MPIAPPS_INDEX="$index",MPIAPPS_WAITED="$job_waited" "$run/next.sh"
}
pbs_requeue() { # only operators may rerun a job of PBS: the next job of a chain
    job_chain "$PBS_JOBID" || code=78
    exit "$code"
}

lsf_identify() {
    job_id="${LSB_JOBID:-}" job_cluster="${MPIAPPS_CLUSTER:-}" index="${LSB_JOBINDEX:-}"
    index="${index#0}" job_submit='bsub <' job_timer=1
    job_unchained='#BSUB -w '
    job_reserved=' 99 '
}
lsf_chain() {
    local condition
    condition=$(printf ' && ended(%s)' "$@")
    bsub -w "${condition# && }" -J "$job_name" -o "$job_logs/$job_base/%J.out" \
        -env "none,MPIAPPS_RUN=$job_base,MPIAPPS_INDEX=$index,MPIAPPS_WAITED=$job_waited,MPIAPPS_CLUSTER=$job_cluster" \
        <"$run/next.sh" | sed -n 's/^Job <\([0-9]*\)>.*/\1/p'
}
lsf_requeue() { exit 99; }  # LSF runs it again: -Q 99

# --- The run ---

job_begin() {
    local option value
    job_parents=() job_elements=() job_parents_may_fail='' job_record='' job_reserved='' mpiexec=''
    for option in "$@"; do
        value="${option#*=}"
        case $option in
            --scheduler=*) job_scheduler="$value" ;;
            --name=*) job_name="$value" ;;
            --logs=*) job_logs="$value" ;;
            --python=*) python="$value" ;;
            --nodes=*) job_nodes="$value" ;;
            --ranks-per-node=*) job_ranks="$value" ;;
            --threads=*) job_threads="$value" ;;
            --time=*) job_time="$value" ;;
            --stop-margin=*) job_stop_margin="$value" ;;
            --max-requeues=*) job_max_requeues="$value" ;;
            --parent=*) job_parents+=("$value") ;;
            --element=*) job_elements+=("$value") ;;
            --parents-may-fail) job_parents_may_fail=1 ;;
            --record) job_record=1 ;;
            --mpiexec) # the one beside the MPI that Python loads
                mpiexec="${python%/*}/mpiexec"
                [ -x "$mpiexec" ] || mpiexec=mpiexec ;;
            *) echo "mpiapps: error: job_begin: unknown option $option" >&2; exit 78 ;;
        esac
    done
    job_ntasks=$((job_nodes * job_ranks)) job_cores=$((job_ranks * job_threads))
    "${job_scheduler}_identify"
    [ -n "$job_id" ] || {
        echo "mpiapps: error: not in a job; submit this script: $job_submit $0" >&2
        exit 78
    }

    # One folder for the run, the same after a requeue and a resubmission.
    local number="${job_id%%[.[]*}"
    index="${index:-${MPIAPPS_INDEX:-}}"
    job_base="${MPIAPPS_RUN:-$job_name-${job_cluster:+$job_cluster-}job$number}"
    job_waited="${MPIAPPS_WAITED:-}"
    run="$job_logs/$job_base${index:+_$index}"
    mkdir -p -- "$run" && chmod 700 "$run" || exit 74
    job_events="$run/events.jsonl"
    job_attempt=$(($(grep -c '"start"' "$job_events" 2>/dev/null) + 1))
    local ended=job_succeeded
    [ -z "$job_record" ] || ended=job_finished
    if "$ended" "$run"; then
        echo "mpiapps: $run is finished already" >&2
        [ -z "$job_record" ] || exit "$(job_record_code "$run")"
        exit 0
    fi
    [ "$0" -ef "$run/script.sh" ] || cp -- "$0" "$run/script.sh"
    [ "${#job_parents[@]}" -eq 0 ] || job_check_parents

    export MPIAPPS_NTASKS="$job_ntasks" MPIAPPS_ATTEMPT="$job_attempt" MPIAPPS_INDEX="$index"
    job_deadline=$(($(date +%s) + job_time - job_stop_margin))
    export MPIAPPS_DEADLINE="$job_deadline"
    if [ -n "$job_record" ]; then
        export MPIAPPS_RECORD="$run/record.json" MPIAPPS_CHECKPOINT="$run/checkpoint.json"
    fi
    # Without a record, each rank ends with its parent process: Grid Engine kills the process
    # group of the launcher, and ranks have their own. Needs util-linux 2.33.
    end_with_parent=(setpriv --pdeathsig KILL)
    "${end_with_parent[@]}" true 2>/dev/null || end_with_parent=(env)
}

job_event() { # EVENT CODE [JOB]: append to the events of the run
    printf '{"event": "%s", "attempt": %d, "job": "%s", "cluster": "%s", "host": "%s", "code": %d, "time": %d}\n' \
        "$1" "$job_attempt" "${3:-$job_id}" "$job_cluster" "$HOSTNAME" "$2" "$(date +%s)" >>"$job_events"
}

# The exit code of a launcher proves nothing: some return 0 when a host is lost, others not 0
# after a success. Programs of mpiapps write a record; for others the end event counts.
job_finished() { [ "$(tail -c 18 -- "$1/record.json" 2>/dev/null)" = '"finished": true}' ]; }
job_record_code() { grep -o '"exit_code": [0-9]*' "$1/record.json" | tail -n 1 | grep -o '[0-9]*$'; }
job_saved() { [[ "$(tail -c 32 -- "$run/checkpoint.json" 2>/dev/null)" == *"\"stopped\": $job_attempt}" ]]; }
job_succeeded() { # FOLDER
    if job_finished "$1"; then
        [ "$(job_record_code "$1")" -eq 0 ]
    else
        grep -s '"\(start\|end\)"' "$1/events.jsonl" | tail -n 1 | grep -q '"end".*"code": 0,'
    fi
}

job_chain() { # JOB...: submit this script again, to start after these jobs
    local number library="$job_logs/$job_base/job_library.sh"
    mkdir -p -- "$job_logs/$job_base"
    [ "${BASH_SOURCE[0]}" = "$0" ] || [ -e "$library" ] || cp -- "${BASH_SOURCE[0]}" "$library"
    grep -v "^$job_unchained" "$run/script.sh" >"$run/next.sh"
    number=$("${job_scheduler}_chain" "$@") && [ -n "$number" ] && job_event submit 0 "$number"
}

# --- Parent runs: a scheduler knows jobs only, and a run may take several ---

job_under_way() { # FOLDER: print the current job of a run that has not ended
    local last
    last=$(tail -n 1 -- "$1/events.jsonl" 2>/dev/null)
    case $last in
        *'"end"'* | *'"blocked"'* | *'"cancel"'*) ;;
        *"\"cluster\": \"$job_cluster\""*) grep -o '"job": "[^"]*"' <<<"$last" | cut -d '"' -f 4 ;;
    esac
}
job_check_parents() {
    local folder number missing='' jobs=() waits=''
    for folder in "${job_elements[@]}"; do
        job_succeeded "$folder" || missing="$folder"
    done
    [ -n "$missing" ] || return 0
    for folder in "${job_parents[@]}" "${job_elements[@]}"; do
        number=$(job_under_way "$folder")
        case "::$job_waited:" in
            *":$number:"*) ;;
            *) waits=1 jobs+=("$number") job_waited+=":$number" ;;
        esac
    done
    if [ -n "$waits" ] && job_chain "${jobs[@]}"; then
        echo "mpiapps: $missing is under way: continues as a job that waits for ${jobs[*]}" >&2
        exit 0
    fi
    if [ -n "$waits" ] || [ -z "$job_parents_may_fail" ]; then
        echo "mpiapps: error: $missing is not done, so this run does not start" >&2
        job_event blocked 1
        exit 1
    fi
}

# --- Launch and signals ---

# A warning goes to the launcher as USR1, the only signal that every launcher forwards to
# its ranks. Python needs some seconds before it can handle one.
job_signal() { [ -z "$job_pid" ] || kill -s "$1" "$job_pid" 2>/dev/null; }
job_warn() {
    echo "mpiapps: warned after $SECONDS s" >&2
    if [ "$SECONDS" -lt 10 ]; then
        (sleep "$((10 - SECONDS))"; job_signal USR1) &
    else
        job_signal USR1
    fi
}
job_stop() { # a program that writes a record may save first
    if [ -n "$job_record" ] && [ -z "$job_stopped" ] && [ "$SECONDS" -ge 10 ]; then
        job_signal USR1
    else
        job_signal TERM
    fi
    job_stopped=1
}
job_run() {
    command -v "$python" >/dev/null || { echo "mpiapps: error: no $python on $HOSTNAME" >&2; exit 78; }
    job_event start 0
    [ "$job_scheduler" != sge ] || sge_check_hosts
    local last seconds timer=''
    job_pid='' job_stopped=''
    trap job_warn USR1 USR2
    trap job_stop TERM INT
    SECONDS=0
    "$@" &
    job_pid=$!
    if [ -n "$job_timer" ]; then  # this scheduler sends no warning that is safe to use
        # The timer reads a pipe that only this shell writes, so it ends with the shell or at
        # the close below. Sent to a subshell that is still starting, a signal can be lost.
        seconds=$((job_deadline - $(date +%s)))
        exec {timer}> >(read -r -t "$((seconds > 0 ? seconds : 1))"; [ "$?" -le 128 ] || kill -s USR1 "$$")
    fi
    while :; do  # a signal ends the wait, not the launcher
        wait "$job_pid"
        code=$?
        kill -0 "$job_pid" 2>/dev/null || break
    done
    wait "$job_pid" 2>/dev/null
    last=$?
    [ "$last" -eq 127 ] || code=$last
    [ -z "$timer" ] || exec {timer}>&-
    job_pid=''
}

# --- End ---

job_end() {
    local command since restarts
    if [ -n "$job_record" ]; then
        if job_finished "$run"; then
            code=$(job_record_code "$run")
        elif job_saved; then
            code=75
        elif [ "$code" -eq 0 ]; then
            echo "mpiapps: error: exit code 0, but $MPIAPPS_RECORD is not a finished record" >&2
            code=70
        fi
    fi
    if [ "$code" -ne 0 ] && ! job_finished "$run" && job_preempted; then
        code=75
    fi
    for command in "$@"; do  # epilogs run at each start; their failure changes nothing
        MPIAPPS_EXIT_CODE="$code" MPIAPPS_FOLDER="$run" bash -c "$command" ||
            echo "mpiapps: the epilog has failed with $?" >&2
    done
    # Requeues since the last submission by hand.
    since=$(grep -s '"submit", "attempt": 0,' "$job_logs/$job_base/events.jsonl" | tail -n 1 | grep -o '[0-9]*}$')
    restarts=$(awk -F '"time": ' -v since="${since%?}" '/"requeue"/ && $2 + 0 >= since + 0' "$job_events" | wc -l)
    # A job that a person or the limit has stopped does not start again.
    if [ "$code" -eq 75 ] && [ "$restarts" -lt "$job_max_requeues" ] &&
        { [ -z "$job_stopped" ] || job_preempted; }; then
        job_event requeue 75
        "${job_scheduler}_requeue"
    fi
    job_event end "$code"
    case $job_reserved in *" $code "*) code=1 ;; esac  # these codes would start the job again
    exit "$code"
}
job_preempted() { [ "$job_scheduler" = slurm ] && slurm_preempted; }
