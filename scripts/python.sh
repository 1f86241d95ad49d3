# The Python environment of the scripts; sourced by them from the root of the repository.

# Print the path of a Python 3.11 or later, or an error that names the package to install.
find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3 python3.12 python3.13; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "bicorpus needs Python 3.11 or later; none was found. On Debian: apt install python3 python3-venv." >&2
    echo "If it is installed elsewhere, set PYTHON=/path/to/python3.11 and run $0 again." >&2
    return 2
}

# Create .venv if it does not exist, and install this repository into it with an extra: "" or "[dev]".
#
# Versions come from requirements.lock, packages from the index that pip is configured for. Nothing is done if the
# same was installed before from the same lock and pyproject.toml. Python compiles modules when they are first imported:
# all of them would take 50 CPU seconds, and most are never used.
# uv, which downloads and unpacks several packages at once, installs in a fifth of pip's time; where it cannot, pip does.
install_into_venv() {
    local extra=$1 python inputs stamp=.venv/installed
    if [ ! -x .venv/bin/python ]; then
        python=$(find_python)
        if ! "$python" -m venv .venv; then
            rm -rf .venv
            echo "$python cannot create a virtual environment. On Debian: apt install python3-venv." >&2
            return 2
        fi
    fi
    inputs=$(cat requirements.lock pyproject.toml | sha256sum)
    if ! grep -qxF -e "$inputs$extra" -e "$inputs[dev]" "$stamp" 2> /dev/null; then
        install_with_uv ".$extra" 2> /dev/null ||
            .venv/bin/python -m pip install --quiet --no-compile --constraint requirements.lock --editable ".$extra"
        echo "$inputs$extra" > "$stamp"
    fi
}

# Install an editable path by uv, which reads none of pip's settings: index and certificates are passed on, in the
# environment, since an index may name a password.
install_with_uv() (
    pip=(.venv/bin/python -m pip)
    "${pip[@]}" install --quiet --constraint requirements.lock uv || exit
    index=${PIP_INDEX_URL:-$("${pip[@]}" config get global.index-url || true)}
    if [ -n "$index" ]; then export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"; fi
    if [ -n "${PIP_CERT:-}" ]; then export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"; fi
    .venv/bin/uv pip install --quiet --python .venv/bin/python --constraint requirements.lock --editable "$1"
)

# Compiled kernels are cached in the repository and shared by all workers and later runs.
export NUMBA_CACHE_DIR="${NUMBA_CACHE_DIR:-$PWD/.numba_cache}"
