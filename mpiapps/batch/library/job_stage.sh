# shellcheck shell=bash disable=SC2034,SC2154 # variables of job_library.sh and of the script
# Functions of a job script that runs Python from the disk of each host (`submit --stage`).
#
#   job_stage OPTION...   unpack the archives on each host, and set what the launch uses
#
# Set by job_stage: python, mpiexec, safe_path (not empty: python gets -P), program (the script
# of the user), PYTHONPATH, and the environment's directory in the variables of STAGE_VARIABLES.
# If a host has no room, all of them stay as they are, with a note.
#
# On each host, `bash job_stage.sh ACTION STAGE ...` runs a function stage_ACTION. Functions that
# a scheduler has for this:
#   scheduler_on_hosts COMMAND...        run a command once on each host; fail if one fails
#   scheduler_broadcast FILE COPY        optional: copy a file to each host
#   scheduler_hold_hosts COMMAND...      optional: execute a command on each host that gets USR1 of
#       the script, and TERM if the job is cancelled or at its limit: it removes what was unpacked

STAGE_VARIABLES=(PATH LD_LIBRARY_PATH PYTHONPATH VIRTUAL_ENV CONDA_PREFIX)
STAGE_NAME="mpiapps-stage-$UID" # and job, attempt, process

job_stage() { # --environment=ARCHIVE --modules=ARCHIVE --size=MIB [--program=SCRIPT]
    local option value base size=0 environment='' modules='' began="$SECONDS"
    program='' safe_path='' job_stage_holder=''
    for option in "$@"; do
        value="${option#*=}"
        case $option in
            --environment=*) environment="$value" ;;
            --modules=*) modules="$value" ;;
            --size=*) size="$value" ;;
            --program=*) program="$value" ;;
        esac
    done
    job_stage_library="$PWD/${BASH_SOURCE[0]}"
    [ "${BASH_SOURCE[0]:0:1}" != / ] || job_stage_library="${BASH_SOURCE[0]}"
    trap job_unstage EXIT
    for base in "${TMPDIR:-/tmp}" /dev/shm; do
        job_stage="$base/$STAGE_NAME-${job_id//[^0-9A-Za-z]/_}${index:+_$index}-$job_attempt-$$"
        if job_stage_unpack; then
            job_stage_use
            echo "mpiapps: staged $size MiB to $job_stage on each host in $((SECONDS - began)) s" >&2
            return
        fi
        job_unstage
    done
    job_stage=''
    echo "mpiapps: note: runs from the shared file system, not staged" >&2
}
job_stage_unpack() {
    local archive file archives=()
    [ -r "$environment" ] && [ -r "$modules" ] || {
        echo "mpiapps: cannot read $environment and $modules" >&2
        return 1
    }
    declare -F scheduler_on_hosts >/dev/null || return 1
    job_stage_on_hosts prepare "$size" || return 1
    for archive in "$environment" "$modules"; do
        file="$job_stage/${archive##*/}"
        if declare -F scheduler_broadcast >/dev/null && scheduler_broadcast "$archive" "$file" 2>/dev/null; then
            archives+=("$file")
        else
            archives+=("$(cd -- "${archive%/*}" && pwd)/${archive##*/}")
        fi
    done
    job_stage_on_hosts unpack "${archives[@]}" || return 1
    if declare -F scheduler_hold_hosts >/dev/null; then
        scheduler_hold_hosts bash "$job_stage_library" hold "$job_stage" &
        job_stage_holder=$!
    fi
}
job_stage_on_hosts() { # ACTION ARGUMENT...
    scheduler_on_hosts bash "$job_stage_library" "$1" "$job_stage" "${@:2}"
}
job_stage_use() {
    local from to first='' beside="${python%/*}/mpiexec" name value
    while IFS=$'\t' read -r from to; do
        [ -n "$first" ] || first="$job_stage/$to"
        for name in "${STAGE_VARIABLES[@]}"; do
            [ -n "${!name:-}" ] || continue
            value=":${!name}:"
            value="${value//":$from:"/":$job_stage/$to:"}"
            value="${value//":$from/"/":$job_stage/$to/"}"
            value="${value#:}"
            export "$name=${value%:}"
        done
    done <"$job_stage/.map-src"
    python="$job_stage/env/bin/python" safe_path=1
    if [ "$mpiexec" = "$beside" ] && [ -x "$job_stage/env/bin/mpiexec" ]; then
        mpiexec="$job_stage/env/bin/mpiexec"
    fi
    export PYTHONPATH="$first${PYTHONPATH:+:$PYTHONPATH}"
    [ -z "$program" ] || program="$first/${program##*/}"
}
job_unstage() { # also at any exit of the script
    [ -n "${job_stage:-}" ] || return 0
    if [ -n "$job_stage_holder" ]; then
        kill -s USR1 "$job_stage_holder" 2>/dev/null
        wait "$job_stage_holder" 2>/dev/null
        job_stage_holder=''
    else
        job_stage_on_hosts remove "$job_stage"
    fi
    stage_remove "$job_stage"
}

# --- On a host ---

stage_fail() {
    echo "mpiapps: $(uname -n): cannot stage to ${stage%/*}: $1" >&2
    exit 1
}
stage_prepare() { # SIZE: make the directory if there is room for SIZE MiB
    local base="${stage%/*}" kind free
    stage_remove_leftovers "$base"
    [ -d "$base" ] && [ -w "$base" ] || stage_fail 'it is not a directory that can be written'
    [[ "$stage" =~ ^/[A-Za-z0-9/._-]+$ ]] || stage_fail 'its name has other characters than letters, digits, . _ -'
    kind=$(stat -f -c %T -- "$base")
    case $kind in
        nfs* | lustre | gpfs | ceph | fuse* | smb* | cifs | afs | panfs | ocfs2 | gfs*)
            stage_fail "it is a shared file system ($kind)" ;;
    esac
    free=$(df -Pm -- "$base" | awk 'NR == 2 { print $4 }')
    # In memory, half of the room is left to the ranks.
    [ "$kind" != tmpfs ] || free=$((free / 2))
    [ "$free" -gt $(($1 + $1 / 4)) ] || stage_fail "$1 MiB need room, $free MiB are free"
    mkdir -m 700 -- "$stage" || stage_fail 'it exists'
}
stage_unpack() { # ARCHIVE...
    local archive list from to
    umask 077
    cd -- "$stage" || exit 1
    for archive in "$@"; do
        case $archive in *.zst) command -v zstd >/dev/null || stage_fail 'the host has no zstd' ;; esac
        case $archive in
            *.zst) zstd -dcq -- "$archive" ;;
            *) gzip -dc -- "$archive" ;;
        esac | tar -x --no-same-owner -f - || stage_fail "unpacking ${archive##*/} has failed"
        case $archive in "$stage"/*) rm -f -- "$archive" ;; esac
    done
    for list in .relocated-*; do
        xargs -r -d '\n' -a "$list" sed -i "s|@MPIAPPS_STAGE@|$stage|g" -- || stage_fail 'sed has failed'
    done
    # What is beside the modules: data that a script finds by __file__.
    while IFS=$'\t' read -r from to; do
        case $to in env) continue ;; esac
        mkdir -p -- "$to/__pycache__"
        find "$from" -mindepth 1 -maxdepth 1 -print0 2>/dev/null | xargs -0 -r ln -s -t "$to" -- 2>/dev/null
        chmod u-w -- "$to" # a file that a program writes beside its script would be lost
    done <.map-src
    exit 0
}
stage_hold() {
    local stage_sleep=''
    trap stage_release USR1 TERM INT HUP
    while :; do
        sleep 3600 >/dev/null 2>&1 &
        stage_sleep=$!
        wait "$stage_sleep"
    done
}
stage_release() { # ranks may still save, and import for that
    local count=0
    trap '' USR1 TERM INT HUP
    kill "$stage_sleep" 2>/dev/null
    while [ "$count" -lt 20 ] && stage_is_used "$stage"; do
        sleep 0.5
        count=$((count + 1))
    done
    stage_remove "$stage"
    exit 0
}
stage_remove() { # STAGE
    [ -d "$1" ] || return 0
    chmod -f u+w -- "$1"/src/* 2>/dev/null
    rm -rf -- "$1"
}
stage_is_used() { # STAGE: whether a command line or an environment has a path in it
    grep -lsqF -f <(printf '%s\n' "$1/env/" "$1/src/") /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null
}
# A job that was killed at once has removed nothing. One that runs has ranks, or is younger.
stage_remove_leftovers() {
    local base directory
    for base in "$1" /tmp /dev/shm; do
        for directory in "$base/$STAGE_NAME"-*; do
            if [ -d "$directory" ] && [ -O "$directory" ] && [ ! -L "$directory" ] &&
                [ -n "$(find "$directory" -maxdepth 0 -mmin +10)" ] && ! stage_is_used "$directory"; then
                stage_remove "$directory"
                echo "mpiapps: $(uname -n): removed $directory of a job that was killed" >&2
            fi
        done
    done
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    stage="$2"
    "stage_$1" "${@:3}"
fi
