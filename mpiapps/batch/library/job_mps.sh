# shellcheck shell=bash disable=SC2154 # variables of job_library.sh
# Functions of a job script that starts NVIDIA's Multi-Process Service (`submit --gpu-mps`), by
# which ranks that share a GPU compute on it at the same time.
#
#   job_mps   start the control daemon on each host, and end it when the script ends
#
# The script has this text, and writes it to $run/job_mps.sh: on each host, `bash job_mps.sh ACTION
# DIRECTORY ...` runs a function mps_ACTION. `scheduler_on_hosts` is described in job_stage.sh;
# without it, the job has one host.

# Limits in seconds: the start of a daemon, one answer, the end after `quit -t 10`.
mps_start=30 mps_answer=5 mps_end=15

job_mps() {
    local gpus="${CUDA_VISIBLE_DEVICES:-}"
    case $run in /*) job_mps_library="$run/job_mps.sh" ;; *) job_mps_library="$PWD/$run/job_mps.sh" ;; esac
    # On the disk of each host, and of this job alone: hosts may be shared.
    job_mps="/tmp/mpiapps-mps-$UID-${job_id//[^0-9A-Za-z]/_}${index:+_$index}-$job_attempt-$$"
    trap 'job_mps_end; ! declare -F job_unstage >/dev/null || job_unstage' EXIT
    job_mps_on_hosts hold "$(uname -n)" "$$" &
    job_mps_holder=$!
    job_mps_on_hosts ready || job_fail 'nvidia-cuda-mps-control of --gpu-mps'
    export CUDA_MPS_PIPE_DIRECTORY="$job_mps" CUDA_MPS_LOG_DIRECTORY="$job_mps"
    # The daemon numbers from 0 the GPUs that it sees; UUIDs stay as they are.
    case $gpus in [0-9]*) export CUDA_VISIBLE_DEVICES && CUDA_VISIBLE_DEVICES=$(mps_numbers "$gpus") ;; esac
}
mps_numbers() { # LIST: 0,1,... for as many GPUs
    local commas="${1//[^,]/}"
    seq -s , 0 "${#commas}"
}
job_mps_on_hosts() { # ACTION ARGUMENT...
    local command=(env "PATH=$PATH" bash "$job_mps_library" "$1" "$job_mps" "${@:2}")
    if declare -F scheduler_on_hosts >/dev/null; then
        scheduler_on_hosts "${command[@]}"
    else
        "${command[@]}"
    fi
}
job_mps_end() { # at any exit of the script
    local end
    [ -n "${job_mps_holder:-}" ] || return 0
    job_mps_on_hosts stop
    end=$((SECONDS + mps_end)) # not later: a daemon in its driver cannot be killed
    while kill -0 "$job_mps_holder" 2>/dev/null && [ "$SECONDS" -lt "$end" ]; do sleep 0.2; done
    kill "$job_mps_holder" 2>/dev/null
    job_mps_holder=''
}

# --- On a host ---

# The daemon is in the foreground, a child of the job's step: it ends with the job in any case.
mps_hold() { # HOST PID: hold the daemon until it ends, or the script, which is process PID of HOST
    local daemon code watcher=''
    mkdir -m 700 -- "$mps" || exit 1
    trap 'rm -rf -- "$mps"' EXIT
    # Some schedulers signal every process of a job. The daemon ends after its last client: ranks may save.
    trap '(mps_control "$mps_end" quit) &' TERM INT HUP USR1
    (
        trap - EXIT
        trap '' TERM INT HUP USR1
        exec nvidia-cuda-mps-control -f
    ) &
    daemon=$!
    echo "$daemon" >"$mps/daemon"
    # Of one host, the scheduler may leave processes behind. HOSTNAME may be that of the script.
    if [ "$(uname -n)" = "$1" ]; then
        (
            trap - EXIT
            trap '' TERM INT HUP USR1
            while kill -0 "$2"; do sleep 5; done
            mps_stop
        ) >/dev/null 2>&1 &
        watcher=$!
    fi
    # A signal ends the wait, not the daemon.
    while wait "$daemon"; code=$?; kill -0 "$daemon" 2>/dev/null; do :; done
    [ "$code" -eq 0 ] || tail -n 5 -- "$mps/control.log" >&2
    [ -z "$watcher" ] || kill -KILL "$watcher" 2>/dev/null
    exit 0
}
mps_ready() { # wait until the daemon answers
    local end=$((SECONDS + mps_start))
    command -v nvidia-cuda-mps-control >/dev/null || {
        echo "mpiapps: $(uname -n) has no nvidia-cuda-mps-control, which --gpu-mps starts" >&2
        exit 1
    }
    while [ "$SECONDS" -lt "$end" ]; do
        [ ! -d "$mps" ] || ! mps_control "$mps_answer" get_server_list || exit 0
        sleep 0.2
    done
    echo "mpiapps: $(uname -n): nvidia-cuda-mps-control does not answer" >&2
    exit 1
}
mps_stop() { # clients that a rank has left behind have 10 s; a daemon that does not end is killed
    local daemon end=$((SECONDS + mps_end))
    daemon=$(cat -- "$mps/daemon" 2>/dev/null) && [ -n "$daemon" ] || return 0
    mps_control "$mps_end" 'quit -t 10'
    while kill -0 "$daemon" 2>/dev/null && [ "$SECONDS" -lt "$end" ]; do sleep 0.2; done
    kill -KILL "$daemon" 2>/dev/null
}
mps_control() { # SECONDS COMMAND
    timeout -k 1 "$1" nvidia-cuda-mps-control <<<"$2" >/dev/null 2>&1
}

if [ "${BASH_SOURCE[0]}" = "$0" ] && [ -n "${2:-}" ]; then
    mps="$2"
    export CUDA_MPS_PIPE_DIRECTORY="$mps" CUDA_MPS_LOG_DIRECTORY="$mps"
    "mps_$1" "${@:3}"
fi
