# Sourced by the other scripts, from the root of the repository: the Python environment that they work in.

# Print the path of a Python 3.11 or later, or say what to install.
find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3 python3.12 python3.13; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "bicorpus needs Python 3.11 or later; none was found. On Debian: apt install python3 python3-venv." >&2
    echo "If it lies elsewhere, say where: PYTHON=/path/to/python3.11 $0" >&2
    return 2
}

# Make .venv if it is not there, and install this repository into it with an extra: "" or "[dev]".
#
# Versions come from requirements.lock, packages from wherever pip is configured to look. Nothing is done when
# the same was installed before from the same lock and pyproject.toml.
install_into_venv() {
    local extra=$1 python inputs stamp=.venv/installed
    if [ ! -x .venv/bin/python ]; then
        python=$(find_python)
        if ! "$python" -m venv .venv; then
            rm -rf .venv
            echo "$python cannot make a virtual environment. On Debian: apt install python3-venv." >&2
            return 2
        fi
    fi
    inputs=$(cat requirements.lock pyproject.toml | sha256sum)
    if ! grep -qxF -e "$inputs$extra" -e "$inputs[dev]" "$stamp" 2> /dev/null; then
        .venv/bin/python -m pip install --quiet --constraint requirements.lock --editable ".$extra"
        echo "$inputs$extra" > "$stamp"
    fi
}

# Compiled kernels stay in the repository: compiled once, then shared by all workers and later runs.
export NUMBA_CACHE_DIR="${NUMBA_CACHE_DIR:-$PWD/.numba_cache}"
