# Sourced by the other tools: checks the machine, then makes .venv with edgernn in it. Nothing is downloaded before
# every check has passed, and nothing is done twice.

NEEDED_MB=700

fail() {
    echo "edgernn: $1" >&2
    exit 1
}

# The first Python that is new enough, or the one named in PYTHON.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "needs Python 3.11 or newer. Debian 12 and newer have it: apt-get install python3 python3-venv"
}

check_machine() {
    local python=$1 free_mb
    "$python" -c 'import struct, sys; sys.exit(struct.calcsize("P") != 8)' ||
        fail "$python is a 32-bit program, and Numba has no wheels for 32 bits. On a Raspberry Pi use the 64-bit Raspberry Pi OS."
    "$python" -c 'import venv, ensurepip' 2> /dev/null ||
        fail "Python's venv module is missing. On Debian: apt-get install python3-venv"
    free_mb=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
    [ "$free_mb" -ge "$NEEDED_MB" ] ||
        fail "needs $NEEDED_MB MB of free disk space in $PWD, there are $free_mb MB"
}

# make_environment EXTRAS, "" or "[dev]": .venv with edgernn installed from this folder, editable.
make_environment() {
    local extras=$1 python version
    version=$(cksum < pyproject.toml)
    case $(cat .venv/installed 2> /dev/null) in
        "$extras"*"$version") .venv/bin/edgernn --version > /dev/null 2>&1 && return ;;
    esac
    python=$(find_python)
    check_machine "$python"
    .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null ||
        "$python" -m venv --clear .venv
    echo "edgernn: installing into $PWD/.venv" >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".$extras"
    echo "$extras $version" > .venv/installed
}
