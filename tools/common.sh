# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by ./run, ./test and the scripts in tools/: the place of the clone, and how to speak to the person
# in front.

ATELIER_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export ATELIER_ROOT

say() { printf '%s\n' "$*" >&2; }

# One sentence that says what is wrong and what to do, then the end: 1 for a failure, 2 for wrong options.
die() {
  say "$@"
  exit 1
}
usage() {
  say "$@"
  exit 2
}

# Runs a command as root: as it is for root, through sudo for others.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    sudo "$@"
  fi
}

# may_become_root: 0 if as_root can work (sudo may ask for a password only where somebody can type one).
may_become_root() {
  [ "$(id -u)" = 0 ] && return 0
  command -v sudo >/dev/null || return 1
  sudo -n true 2>/dev/null && return 0
  [ -t 0 ] && [ -t 2 ]
}

# The processors this process may use.
processors() { nproc; }

# unchanged STAMP TEXT: 0 if the file STAMP holds exactly TEXT.
unchanged() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

# sum FILE...: one SHA-256 over the contents of these files, in this order, wherever the clone lies.
sum() { sha256sum -- "$@" | cut -d' ' -f1 | sha256sum | cut -d' ' -f1; }

# The vendored Node and its npm (tools/vendor/fetch brings them).
node() { "$ATELIER_ROOT/vendor/node/bin/node" "$@"; }
npm() { node "$ATELIER_ROOT/vendor/node/lib/node_modules/npm/bin/npm-cli.js" "$@"; }

# npm_install FOLDER: makes FOLDER/node_modules what its package-lock.json says; does nothing, and uses no
# network, if it is that already.
npm_install() {
  local stamp log
  stamp=$(sum "$1/package-lock.json")
  unchanged "$1/node_modules/.atelier-stamp" "$stamp" && return 0
  say "fetching the web tools of ${1#"$ATELIER_ROOT"/}"
  log=$(mktemp)
  if ! (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >"$log" 2>&1; then
    tail -n 5 "$log" | cut -c1-300 | sed 's/^/  /' >&2
    rm -f "$log"
    die "The npm registry cannot be reached (needed once, for ${1#"$ATELIER_ROOT"/}):" \
      "connect this machine to the network and run this again."
  fi
  rm -f "$log"
  printf '%s' "$stamp" >"$1/node_modules/.atelier-stamp"
}
