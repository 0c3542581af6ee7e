# shellcheck shell=bash
# Makes .venv in the repository and installs exactly what a lock file says. Sourced by the
# scripts beside it, which then run `$root/.venv/bin/python`.
#
#   environment_for KIND    KIND is run, test or bench: locks/KIND.txt
#
# Set PYTHON to choose the interpreter. Exit codes: 3 no usable Python, 4 its venv module is
# missing, 5 too little disk, 6 the packages could not be installed.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=$root/.venv

say() { printf '%s\n' "$*" >&2; }

fail() {
    local code=$1
    shift
    printf 'Cannot start: %s\n' "$1" >&2
    shift
    if [ $# -gt 0 ]; then printf '  %s\n' "$@" >&2; fi
    exit "$code"
}

# A first Python that is new enough; names in $interpreter. A shim or a broken install answers
# nothing and is passed over.
find_python() {
    local candidate version too_old=""
    for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}; do
        version=$("$candidate" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            interpreter=$candidate
            return
        fi
        too_old="$too_old $candidate is $version;"
    done
    if [ -n "$too_old" ]; then
        fail 3 "Python is too old: found$too_old 3.11 or newer is needed." \
            "Install it (Debian, Ubuntu: apt-get install python3.11 python3.11-venv; macOS:" \
            "brew install python@3.13), or name one: PYTHON=/path/to/python3.11"
    fi
    fail 3 "there is no Python${PYTHON:+ at $PYTHON}; 3.11 or newer is needed." \
        "Install it (Debian, Ubuntu: apt-get install python3 python3-venv; macOS:" \
        "brew install python@3.13), or name one: PYTHON=/path/to/python3.11"
}

need_venv_module() {
    local version
    "$interpreter" -c 'import ensurepip, venv' 2>/dev/null && return
    version=$("$interpreter" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    fail 4 "this Python ($version) comes without its venv module." \
        "Debian, Ubuntu: apt-get install python$version-venv"
}

need_disk() {
    local free
    free=$(df -Pk "$root" | awk 'NR == 2 { print $4 }')
    if [ "$free" -lt 3000000 ]; then
        fail 5 "there are only $((free / 1000)) MB free where $root is; 3000 MB are needed."
    fi
}

# What an installed environment is stamped with: anything here changes, and pip runs again.
stamp_of() {
    "$venv/bin/python" -V 2>&1 || true
    cat "$root/locks/$1.txt" "$root/setup.cfg" | cksum
}

is_stamped() { [ "$(stamp_of "$1")" = "$(cat "$venv/.stamp-$1" 2>/dev/null)" ]; }

# The locks agree on every version, and those for tests and benchmarks hold all that runs.
is_ready() {
    [ ! -e "$venv/.unfinished" ] && [ -x "$venv/bin/chuk" ] || return
    is_stamped "$1" && return
    [ "$1" = run ] && { is_stamped test || is_stamped bench; }
}

pip_install() {
    "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check \
        --progress-bar off --retries 2 --log "$venv/pip.log" "$@" >"$venv/pip.out" 2>&1 && return
    say "$(tail -n 8 "$venv/pip.out")"
    fail 6 "pip could not install the packages (its last lines are above)." \
        "Is there a network, and does it reach the package index? Then run this again." \
        "The whole story: $venv/pip.log"
}

# Python's own version is part of the folder's layout, so another one means a new folder; so
# does an installation that was cut off, of which nobody knows what is whole.
make_venv() {
    if [ -e "$venv/.unfinished" ] || ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
        find_python
        need_venv_module
        say "Making .venv with $("$interpreter" -V) ..."
        "$interpreter" -m venv --clear "$venv" >&2 ||
            fail 4 "the venv module could not make $venv."
    fi
}

install_lock() {
    local kind=$1
    need_disk
    make_venv
    say "Installing the pinned packages of locks/$kind.txt into .venv (once; $2) ..."
    : >"$venv/.unfinished"
    rm -f "$venv/.stamp-$kind" "$venv/pip.log"
    # The lock is complete; what it leaves out on purpose is not looked for.
    pip_install --require-hashes --no-deps -r "$root/locks/$kind.txt"
    pip_install --no-deps --no-build-isolation --editable "$root"
    stamp_of "$kind" >"$venv/.stamp-$kind"
    rm -f "$venv/.unfinished"
}

environment_for() {
    local kind=$1 size=$2
    is_ready "$kind" && return
    # One installer at a time; whoever waited finds the work done.
    exec 9<"$root/setup.cfg"
    if command -v flock >/dev/null && ! flock -n 9; then
        say "Waiting for another start that is installing packages ..."
        flock 9
    fi
    if ! is_ready "$kind"; then install_lock "$kind" "$size"; fi
    exec 9<&-
}
