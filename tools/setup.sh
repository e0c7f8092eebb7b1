#!/bin/sh
# Installs the Debian packages that a group of targets needs, but only those
# that are missing. Usage: tools/setup.sh GROUP...   (build, suites, test, tools, js, lint)
# PYTHON names the interpreter that the build is for (default: python3).
set -eu

python=${PYTHON:-python3}
packages=

need() { packages="$packages $*"; }
have() { command -v "$1" >/dev/null 2>&1; }
die() {
    echo "setup: $*" >&2
    exit 1
}

have "$python" || die "$python was not found: install Python 3.10 or newer (Debian: python3)"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    die "$("$python" --version) is too old: QE needs Python 3.10 or newer (make PYTHON=...)"

library() { # pkg-config module, Debian package
    have pkg-config && pkg-config --exists "$1" || need "$2"
}

for group in "$@"; do
    case $group in
    build)
        have cc || have gcc || need gcc
        echo '#include <stdio.h>' | cc -E -x c -o /dev/null - 2>/dev/null || need libc6-dev
        have pkg-config || need pkg-config
        library 'libuv >= 1.44' libuv1-dev
        library 'libcjson >= 1.7' libcjson-dev
        library 'sqlite3 >= 3.31' libsqlite3-dev
        library 'hiredis >= 0.14' libhiredis-dev # this and the next: runs across machines
        library 'openssl >= 1.1.1' libssl-dev
        debian=no
        case $("$python" -c 'import sys; print(sys.base_prefix)') in /usr) debian=yes ;; esac
        if ! "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'; then
            [ $debian = yes ] || die "$python has no Python.h: install its development package"
            need python3-dev
        fi
        if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
            [ $debian = no ] || need python3-venv # others: tools/venv.sh finds a way
        fi
        ;;
    suites)
        have less || need less # click's tests of its pager
        ;;
    test)
        library cmocka libcmocka-dev
        have valgrind || need valgrind
        have git || need git # whether it ignores our folder
        # The tests of pytest-postgresql start servers of their own.
        have pg_ctl || ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1 || need postgresql
        have chromium || need chromium # opens HTML reports
        have redis-server || need redis-server # the queue; and a service of a layer, as is PostgreSQL
        have openssl || need openssl # makes certificates for the queue's tests
        ;;
    tools) # whose test files are run (about a minute where all are missing)
        have go || need golang-go
        have cargo || need cargo
        have cc || have gcc || need gcc libc6-dev # cargo links with it
        have ctest || need cmake
        ;;
    js)
        if have node; then
            node -e 'process.exit(parseInt(process.versions.node, 10) < 20 ? 1 : 0)' ||
                die "node $(node --version) is too old: QE needs Node 20 or newer"
            have npm || need npm
        else
            # Debian has a Node that is new enough from release 13 on.
            case $(apt-cache policy nodejs 2>/dev/null | sed -n 's/^ *Candidate: \([0-9]*\)\..*/\1/p') in
            2[0-9] | [3-9][0-9]) need nodejs npm libnode-dev ;;
            *) die "node was not found: install Node 20 or newer, with npm" ;;
            esac
        fi
        # Debian's Node has its headers apart; others have them, or node-gyp gets them.
        case $(dpkg-query -W -f '${Maintainer}' nodejs 2>/dev/null) in
        *debian.org*)
            if [ "$(command -v node)" = /usr/bin/node ]; then
                [ -f /usr/include/node/node_api.h ] || need libnode-dev
            fi
            ;;
        esac
        have "${CXX:-g++}" || need g++
        have git || need git         # jest --watch asks it what has changed
        have script || need bsdutils # a terminal for jest --watch
        have pkg-config || need pkg-config
        library 'libcjson >= 1.7' libcjson-dev
        library 'sqlite3 >= 3.31' libsqlite3-dev
        library 'hiredis >= 0.14' libhiredis-dev # runs across machines; OpenSSL is Node's
        have redis-server || need redis-server   # ... and their tests
        ;;
    lint)
        have clang-format || need clang-format
        ;;
    *)
        die "unknown group: $group"
        ;;
    esac
done

[ -n "$packages" ] || exit 0
packages=${packages# }
have apt-get ||
    die "missing: $packages (names of Debian's packages); there is no apt-get here: install them with this system's package manager"

root=
if [ "$(id -u)" -ne 0 ]; then
    have sudo || die "missing: $packages; as root, run: apt-get install $packages"
    root=sudo
    [ -t 0 ] || root='sudo -n' # nobody is there to type a password
fi

echo "setup: installing $packages"
apt() {
    $root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086  # a list of words
if ! { apt update && apt install -y --no-install-recommends $packages; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "could not install: $packages (as root: apt-get install $packages)"
fi
