# shellcheck shell=bash disable=SC2154 # variables of job_library.sh and of the script
# Functions of a job script that launches several steps one after another, each in its directory.
#
#   job_start            what job_run does before the launch
#   job_step NAME NTASKS THREADS COMMAND...   launch a step, unless it is done or the job stops
#
# NAME is CASE-NUMBER; after a failure the other steps of the case are left out, and so is a step
# that would not end before the limit if it took as long as the longest of its case. job_step sets
# code, the exit code of the job: 0, 3 (a step has failed), or 75 (steps are left).
# Set by the script: job_thread_variables, job_step_record (not empty: steps write a record).

job_failed_cases=' ' job_steps_code=0
declare -A job_longest=() # seconds, by case

job_stopping() { [ -n "$job_stopped$job_warned" ] || [ "$(date +%s)" -ge "$job_deadline" ]; }
job_step() {
    # shellcheck disable=SC2034 # job_event reads job_events
    local name="$1" directory="$run/$1" job_events="$run/$1/events.jsonl" variable
    case $job_failed_cases in *" ${name%-*} "*) return ;; esac
    if job_succeeded "$directory"; then
        job_step_took "$(awk -F '"time": ' '/"start"/ { start = $2 } END { print $2 - start }' "$job_events")"
    elif job_stopping || job_step_too_long; then
        job_steps_code=75
    else
        mkdir -p -- "$directory" && rm -f -- "$directory/record.json" || exit 74
        export MPIAPPS_NTASKS="$2"
        for variable in "${job_thread_variables[@]}"; do
            export "$variable=$3"
        done
        [ -z "$job_step_record" ] || export MPIAPPS_RECORD="$directory/record.json"
        job_event start 0
        job_launch "${@:4}" >"$directory/output.log" 2>&1
        job_step_end
    fi
    code=$job_steps_code
}
job_step_took() { # SECONDS
    [ "$1" -le "${job_longest[${name%-*}]:-0}" ] || job_longest[${name%-*}]="$1"
}
job_step_too_long() {
    local seconds="${job_longest[${name%-*}]:-0}" left=$((job_deadline - $(date +%s)))
    [ "$seconds" -gt "$left" ] || return
    echo "mpiapps: step $name: left to the next job: another took $seconds s, and $left s are left" >&2
}
job_step_end() { # a step that the end of the job has stopped gets no end: it runs again
    if [ -n "$job_step_record" ]; then
        if job_finished "$directory"; then
            code=$(job_record_code "$directory")
        elif [ "$code" -eq 0 ]; then
            code=70
        fi
    fi
    if [ "$code" -ne 0 ] && job_stopping; then
        job_steps_code=75
        echo "mpiapps: step $name: stopped after $SECONDS s" >&2
        return
    fi
    job_event end "$code"
    job_step_took "$SECONDS"
    echo "mpiapps: step $name: exit code $code after $SECONDS s" >&2
    if [ "$code" -ne 0 ]; then
        job_failed_cases+="${name%-*} "
        job_steps_code=3
    fi
}
