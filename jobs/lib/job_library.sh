# shellcheck shell=bash disable=SC1090,SC2034,SC2317,SC2329 # functions of schedulers, traps
# Functions of the job scripts that mpiapps renders; needs bash 4 and no Python.
#
#   job_begin OPTION...    find the run's directory, wait for parent runs, set the deadline
#   job_define_module      define the function module of Lmod or Environment Modules
#   job_fail COMMAND       end the run with 78, since a command before the ranks has failed
#   job_run COMMAND...     launch the ranks and pass signals on to them
#   job_end [COMMAND...]   check the record, run epilogs, requeue or exit
#
# Set by job_begin, for the script: run (directory), index (of the array element, or empty),
# python, mpiexec, end_with_parent (prefix of a program that writes no record).
#
# A scheduler has a file with its own functions: appended to this one in the copy of a run and
# in a standalone script, otherwise SCHEDULER.sh beside this file, or --scheduler-library.
#
#   scheduler_identify       set job_id (empty outside of a job), job_cluster, index, and: job_submit
#       (command to submit a script), job_timer (not empty: the script warns by a timer), job_unchained
#       (pattern of directives to remove in a chain), job_reserved (exit codes that restart a job)
#   scheduler_chain JOB...   submit $run/next.sh to start after these jobs; print its job number
#   scheduler_requeue        run the job again, and exit
#   scheduler_check_hosts    optional: exit if the job has other hosts than requested
#   scheduler_preempted      optional: succeed if the job is being preempted

scheduler_check_hosts() { :; }
scheduler_preempted() { return 1; }

# --- The run ---

job_begin() {
    local option value
    job_parents=() job_elements=() job_parents_may_fail='' job_container='' job_record='' job_memory=0 mpiexec=''
        job_submit='' job_timer='' job_unchained='' job_reserved='' job_nodes='' job_ntasks='' job_cores=''
    for option in "$@"; do
        value="${option#*=}"
        case $option in
            --scheduler=*) job_scheduler_library="${BASH_SOURCE[0]%/*}/$value.sh" ;;
            --scheduler-library=*) job_scheduler_library="$value" ;;
            --name=*) job_name="$value" ;;
            --logs=*) job_logs="$value" ;;
            --python=*) python="$value" ;;
            --nodes=*) job_nodes="$value" ;;
            --ranks-per-node=*) job_ranks="$value" ;;
            --ranks=*) job_ntasks="$value" ;;  # hosts differ; without --nodes: any hosts
            --threads=*) job_threads="$value" ;;
            --memory=*) job_memory="$value" ;;
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
            --mpiexec=*) mpiexec="$value" ;;
            --container) job_container=1 ;;  # python is the one of its image
            *) echo "mpiapps: error: job_begin: unknown option $option" >&2; exit 78 ;;
        esac
    done
    [ -n "$job_ntasks" ] || job_ntasks=$((job_nodes * job_ranks)) job_cores=$((job_ranks * job_threads))
    if declare -F scheduler_identify >/dev/null; then
        job_scheduler_library=''  # appended to this file
    else
        . "$job_scheduler_library" || exit 78
    fi
    scheduler_identify
    [ -n "$job_id" ] || {
        echo "mpiapps: error: not in a job; submit this script: $job_submit $0" >&2
        exit 78
    }

    # One directory for the run, the same after a requeue and a resubmission.
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
    [ "$0" -ef "$run/script.sh" ] || job_replace "$run/script.sh" "$0"
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

# `mpiapps status` and other jobs may read FILE at any moment, so it is replaced whole.
job_replace() { # FILE SOURCE...
    local part="$1.$HOSTNAME.$$"
    if ! cat -- "${@:2}" >"$part" || ! mv -f -- "$part" "$1"; then
        rm -f -- "$part"
        return 1
    fi
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
job_succeeded() { # DIRECTORY
    if job_finished "$1"; then
        [ "$(job_record_code "$1")" -eq 0 ]
    else
        grep -s '"\(start\|end\)"' "$1/events.jsonl" | tail -n 1 | grep -q '"end".*"code": 0,'
    fi
}

job_chain() { # JOB...: submit this script again, to start after these jobs
    local number library="$job_logs/$job_base/job_library.sh"
    mkdir -p -- "$job_logs/$job_base"
    [ "${BASH_SOURCE[0]}" = "$0" ] || [ -e "$library" ] ||
        job_replace "$library" "${BASH_SOURCE[0]}" ${job_scheduler_library:+"$job_scheduler_library"}
    grep -v "^$job_unchained" "$run/script.sh" >"$run/next.sh"
    number=$(scheduler_chain "$@") && [ -n "$number" ] && job_event submit 0 "$number"
}

# --- Parent runs: a scheduler knows jobs only, and a run may take several ---

job_under_way() { # DIRECTORY: print the current job of a run that has not ended
    local last
    last=$(tail -n 1 -- "$1/events.jsonl" 2>/dev/null)
    case $last in
        *'"end"'* | *'"blocked"'* | *'"cancel"'*) ;;
        *"\"cluster\": \"$job_cluster\""*) grep -o '"job": "[^"]*"' <<<"$last" | cut -d '"' -f 4 ;;
    esac
}
job_check_parents() {
    local directory number missing='' jobs=() waits=''
    for directory in "${job_elements[@]}"; do
        job_succeeded "$directory" || missing="$directory"
    done
    [ -n "$missing" ] || return 0
    for directory in "${job_parents[@]}" "${job_elements[@]}"; do
        number=$(job_under_way "$directory")
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
    job_warned=1; echo "mpiapps: warned after $SECONDS s" >&2
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
job_fail() { # COMMAND: a command before the ranks has failed
    local status=$?
    echo "mpiapps: error: failed with $status on $HOSTNAME: $1" >&2
    job_event start 0
    job_event end 78
    exit 78
}
job_define_module() { # a shell that is not a login shell may lack the function
    local file
    for file in /etc/profile.d/{z00_lmod,lmod,modules}.sh \
        "${LMOD_PKG:-/usr/share/lmod/lmod}/init/bash" "${MODULESHOME:-/usr/share/modules}/init/bash"; do
        declare -F module >/dev/null && return
        [ ! -r "$file" ] || . "$file"
    done
}
job_run() { job_start; job_launch "$@"; }
job_start() {
    [ -n "$job_container" ] || command -v "$python" >/dev/null || { echo "mpiapps: error: no $python on $HOSTNAME" >&2; exit 78; }
    job_event start 0
    scheduler_check_hosts
    job_pid='' job_stopped='' job_warned=''
    trap job_warn USR1 USR2; trap job_stop TERM INT
}
job_launch() {
    local last seconds timer=''
    SECONDS=0; "$@" &
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

job_on_each() { # START HOSTS COMMAND...: on each host, on others by START HOST COMMAND...; fail if one fails
    local start="$1" host job_pids=() pid code=0
    while read -r host; do
        if [ "${host%%.*}" = "${HOSTNAME%%.*}" ]; then
            "${@:3}" </dev/null &
        else
            "$start" "$host" "${@:3}" </dev/null &
        fi
        job_pids+=("$!")
    done <<<"$2"
    for pid in "${job_pids[@]}"; do
        wait "$pid" || code=1
    done
    return "$code"
}

# --- End ---

# One line: what the run has used of what it asked for and, if that is less than half, the
# request that fits with a quarter in reserve. `mpiapps status` prints the file.
job_usage() {
    awk -v wall="$((SECONDS > 0 ? SECONDS : 1))" -v ranks="$job_ntasks" -v threads="$job_threads" \
        -v memory="$job_memory" -v limit="$job_time" '
        function ceil(x) { return x == int(x) ? x : int(x) + 1 }
        function size(b) { return b < 2^30 ? sprintf("%.0f MiB", b / 2^20) : sprintf("%.1f GiB", b / 2^30) }
        function duration(s) {
            return s < 60 ? s " s" : s < 3600 ? sprintf("%d m %d s", s / 60, s % 60) : sprintf("%d h %d m", s / 3600, s % 3600 / 60)
        }
        match($0, /"usage": [{]"cpu_seconds": [0-9.]+, "peak_memory": [0-9]+/) {
            split(substr($0, RSTART, RLENGTH), part, /[:,]/)
            cpu = part[3]; peak = part[5]
            fit_memory = ceil(1.25 * peak / 2^26) * 64
            text = fit_memory "MiB"
            if (fit_memory >= 1024) { fit_memory = ceil(fit_memory / 1024) * 1024; text = fit_memory / 1024 "GiB" }
            if (memory && fit_memory * 2^20 <= memory / 2) request = " --memory " text
            margin = wall / 10 > 300 ? 300 : wall / 10 < 20 ? 20 : wall / 10  # the program stops before the limit
            fit_time = ceil((1.25 * wall + margin) / 60) + 1
            if (fit_time * 60 <= limit / 2) request = request " --time " fit_time "m"
            printf "CPU efficiency %.0f %% of %d cores; memory %s%s per rank; time %s of %s%s\n",
                100 * cpu / (wall * ranks * threads), ranks * threads, size(peak),
                memory ? " of " size(memory) : "", duration(wall), duration(limit),
                request ? "; would have fitted:" request : ""
        }' "$run/record.json" >"$run/usage.txt"
    sed 's/^/mpiapps: /' "$run/usage.txt" >&2
}
job_end() {
    local command since restarts
    if [ -n "$job_record" ]; then
        if job_finished "$run"; then
            code=$(job_record_code "$run")
            job_usage
        elif job_saved; then
            code=75
        elif [ "$code" -eq 0 ]; then
            echo "mpiapps: error: exit code 0, but $MPIAPPS_RECORD is not a finished record" >&2
            code=70
        fi
    fi
    if [ "$code" -ne 0 ] && ! job_finished "$run" && scheduler_preempted; then
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
        { [ -z "$job_stopped" ] || scheduler_preempted; }; then
        job_event requeue 75
        scheduler_requeue
    fi
    job_event end "$code"
    case $job_reserved in *" $code "*) code=1 ;; esac  # these codes would start the job again
    exit "$code"
}
