# What the scripts share: where Python is, and how an environment is made. Sourced, with $root set to the checkout.
# shellcheck shell=sh

say() { printf '%s\n' "$*" >&2; }

# Prints "minor path" for every Python 3 found that can make environments, newest minor first, one of each.
# A name on PATH may be a shim of a version manager that leads nowhere, so each is asked.
pythons() {
    for minor in ${1:-14 13 12 11 10 9 8}; do
        for candidate in "python3.$minor" python3 python \
            "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3."$minor".*/bin/python3; do
            found=$("$candidate" -c "
import sys, venv, ensurepip
if sys.version_info[:2] == (3, $minor): print(sys.executable)" 2>/dev/null) || continue
            [ -n "$found" ] && printf '%s %s\n' "$minor" "$found" && break
        done
    done
}

# Makes the environment $1 with the Python $2, unless it is there.
make_environment() {
    [ -x "$1/bin/python" ] && "$1/bin/python" -m pip --version >/dev/null 2>&1 && return
    rm -rf "$1"
    "$2" -m venv "$1"
}

# Installs the rest of the arguments into the environment $1, unless the same were installed there from the same files.
install_into() {
    environment=$1
    shift
    mark=$(cat "$root"/pyproject.toml "$root"/plugins/*/pyproject.toml "$root"/requirements*.txt | cksum)
    mark="$mark $*"
    [ "$(cat "$environment/installed" 2>/dev/null)" = "$mark" ] && return
    (cd "$root" && "$environment/bin/python" -m pip install -qq --disable-pip-version-check "$@") || {
        say "Could not install into $environment: is there a network, or a package index that pip is told of?"
        return 1
    }
    printf '%s' "$mark" >"$environment/installed"
}

no_python() {
    say "No Python 3.8 or newer with the modules venv and ensurepip was found."
    say "Install one (Debian, Ubuntu: apt install python3-venv; elsewhere: python.org or conda) and try again."
    exit 1
}

# Installs the Debian packages $3, as root, where one of the programs $2 is not there; nothing is started, and nothing
# removed for it. Where that cannot be, it says why not: the tests $1 are then skipped.
install_debian() (
    PATH=$PATH:/usr/sbin:/sbin
    absent=
    for program in $2; do
        command -v "$program" >/dev/null || absent="$absent $program"
    done
    [ -n "$absent" ] || exit 0
    skip() { say "SKIPPED: the tests $1: not installed:$absent; $*"; exit 0; }
    command -v apt-get >/dev/null || skip "there is no apt-get"
    [ "$(id -u)" = 0 ] || skip "root could install: $3"
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 # in runlevel 1 Debian starts no daemon that it installs
    # shellcheck disable=SC2086 # words
    apt-get update -qq && apt-get install -qq -y --no-install-recommends --no-remove $3 >/dev/null ||
        skip "apt-get could not install them"
)
