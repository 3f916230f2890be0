#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes this machine a worker of the Atelier workshop at @SERVER@:
#
#   curl -fsSL @SERVER@/worker/join.sh | ATELIER_ENROL=TOKEN sh
#   curl -fsSL @SERVER@/worker/join.sh | ATELIER_ENROL=TOKEN sh -s -- --name gpu-2 --slots 2
#   curl -fsSL --cacert CA.pem @SERVER@/worker/join.sh | ATELIER_ENROL=TOKEN sh -s -- --ca-file CA.pem
#
# Options after "--" go to atelier-worker (its --help lists them). Without --comfy and --launch it joins the
# ComfyUI at 127.0.0.1:8188, or starts the one that it finds. Without ATELIER_ENROL the token is asked for.
# It may be run again at any time: what it installed is replaced, the running worker finishes its job.
#
# The token is one of an enrolment (atelier-enrol-...): good once, for this machine, which makes a key of its
# own that the server knows from then on. Or it is the content of DATA_DIR/worker.token on the server, for
# machines of your own. A machine that has its key joins again with the token that it used.
#
# Environment: ATELIER_ENROL (the token), ATELIER_SERVER (if the server's address is another one here),
# ATELIER_DIR (where it installs), ATELIER_START (systemd, nohup, or foreground: the worker takes this shell's
# place).
set -eu
umask 077
: "${HOME:=$(getent passwd "$(id -u)" | cut -d: -f6)}"
export HOME

server=${ATELIER_SERVER:-@SERVER@}
server=${server%/}
digest='@DIGEST@'
machine='@MACHINE@'

say() { printf 'atelier: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# Of the worker's options: the authority of the server's certificate, which fetches need, too.
find_ca_file() {
  ca_file='' before=''
  for option; do
    case $before in --ca-file) ca_file=$option ;; esac
    case $option in --ca-file=*) ca_file=${option#--ca-file=} ;; esac
    before=$option
  done
}

fetch() { # URL FILE
  if command -v curl >/dev/null; then
    curl -fsSL ${ca_file:+--cacert "$ca_file"} --retry 3 -o "$2" "$1"
  elif command -v wget >/dev/null; then
    wget -q ${ca_file:+--ca-certificate="$ca_file"} -O "$2" "$1"
  else
    die "curl or wget is needed: apt-get install curl"
  fi
}

# In single quotes, for sh to read again.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# The token goes there.
check_address() {
  case $server in
    https://* | http://localhost* | http://127.* | http://\[*) ;;
    http://10.* | http://192.168.* | http://172.*) ;;
    *)
      [ -n "${ATELIER_SERVER:-}" ] ||
        die "$server is not encrypted: set ATELIER_SERVER to the server's address (https://HOST if it has a" \
          "certificate)"
      ;;
  esac
}

check_machine() {
  [ "$(uname -s)" = Linux ] || die "a worker needs Linux, this is $(uname -s)"
  [ "$(uname -m)" = "$machine" ] ||
    die "the worker that the server offers is for $machine, this is $(uname -m)"
  libc=$(getconf GNU_LIBC_VERSION 2>/dev/null || true)
  case $libc in
    'glibc '*) ;;
    *) die "the worker needs glibc 2.35 or newer (Ubuntu 22.04, Debian 12); this system has none" ;;
  esac
  major=${libc#glibc } minor=${libc#*.}
  major=${major%%.*} minor=${minor%%.*}
  { [ "$major" -gt 2 ] || [ "$minor" -ge 35 ]; } ||
    die "the worker needs glibc 2.35 or newer (Ubuntu 22.04, Debian 12); this is $libc"
  command -v sha256sum >/dev/null || die "sha256sum is needed: apt-get install coreutils"
}

ask_for_token() {
  token=${ATELIER_ENROL:-}
  unset ATELIER_ENROL
  if [ -z "$token" ]; then
    # The script itself comes through standard input.
    (: </dev/tty) 2>/dev/null ||
      die "no token: put it into ATELIER_ENROL (of POST /api/v1/enrolments; or, on the server," \
        "DATA_DIR/worker.token)"
    printf 'Token (of an enrolment; or, on the server, DATA_DIR/worker.token): ' >/dev/tty
    stty -echo </dev/tty
    trap 'stty echo </dev/tty' EXIT INT TERM
    IFS= read -r token </dev/tty || true
    stty echo </dev/tty
    trap - EXIT INT TERM
    printf '\n' >/dev/tty
  fi
  [ -n "$token" ] || die "the token is empty"
}

enrols() { case $token in atelier-enrol-*) ;; *) return 1 ;; esac }

# Before the worker that runs is stopped. (Only curl reads a header from its input.)
check_token() {
  if enrols; then return 0; fi # by the worker itself: enrol
  command -v curl >/dev/null || return 0
  status=$(printf 'Authorization: Bearer %s\n' "$token" |
    curl -s ${ca_file:+--cacert "$ca_file"} -o /dev/null -w '%{http_code}' --header @- \
      "$server/worker/link" || true)
  [ "$status" != 401 ] ||
    die "401: $server does not take this token; use the content of its DATA_DIR/worker.token"
}

choose_folder() {
  if [ -n "${ATELIER_DIR:-}" ]; then
    folder=$ATELIER_DIR
  elif [ "$(id -u)" = 0 ]; then
    folder=/opt/atelier-worker
  else
    folder=${XDG_DATA_HOME:-$HOME/.local/share}/atelier-worker
  fi
  mkdir -p "$folder" || die "$folder cannot be made: set ATELIER_DIR to a folder of yours"
  folder=$(cd "$folder" && pwd)
}

fetch_program() {
  fetch "$server/worker/atelier-worker" "$folder/atelier-worker.new" ||
    die "the worker could not be fetched from $server"
  printf '%s  %s\n' "$digest" "$folder/atelier-worker.new" | sha256sum -c - >/dev/null 2>&1 || {
    rm -f "$folder/atelier-worker.new"
    die "what came from $server is not the worker that it offers: run this again"
  }
  chmod 755 "$folder/atelier-worker.new"
  "$folder/atelier-worker.new" --version >/dev/null || die "the worker does not run on this system"
}

# Nothing that runs is touched before the new program has found all well.
install_program() {
  printf '%s\n' "$token" >"$folder/worker.token.new"
  find_comfyui "$@" >"$folder/found.new" || give_up "nothing was changed"
  check_options "$@" || give_up "these options are not right (see above): nothing was changed"
  if enrols; then
    try_program --enrol-only "$@" || give_up "this machine has not become a worker of $server"
  fi
  mv -f "$folder/atelier-worker.new" "$folder/atelier-worker"
  mv -f "$folder/worker.token.new" "$folder/worker.token"
}

check_options() {
  eval "set -- \"\$@\" $(cat "$folder/found.new")"
  try_program --check-only "$@"
}

try_program() {
  "$folder/atelier-worker.new" --join "$server" --token-file "$folder/worker.token.new" "$@"
}

give_up() {
  rm -f "$folder/atelier-worker.new" "$folder/worker.token.new" "$folder/found.new"
  die "$*"
}

answers() { # URL
  if command -v curl >/dev/null; then
    curl -fs --noproxy '*' --max-time 5 -o /dev/null "$1"
  else
    wget -q -T 5 -O /dev/null "$1"
  fi
}

running() { # PID
  [ -n "$1" ] && grep -q atelier-worker "/proc/$1/cmdline" 2>/dev/null
}

worker_runs() {
  running "$(cat "$folder/worker.pid" 2>/dev/null || true)" && return 0
  command -v systemctl >/dev/null && systemctl is-active --quiet atelier-worker 2>/dev/null
}

gives() { # OPTION ARGUMENT...
  wanted=$1
  shift
  for option; do
    case $option in "$wanted" | "$wanted"=*) return 0 ;; esac
  done
  return 1
}

names_comfyui() { gives --comfy "$@" || gives --launch "$@"; }

# Which ComfyUI, if the options do not say: prints options, quoted.
find_comfyui() {
  if names_comfyui "$@"; then return 0; fi
  # What answers there may be what the worker that runs here has started.
  if worker_runs; then
    former=$(cat "$folder/found" 2>/dev/null ||
      sed -n 's/^exec .*\( --comfy-dir .* --launch .*\)$/\1/p' "$folder/start.sh" 2>/dev/null || true)
    if [ -n "$former" ]; then
      printf '%s' "$former"
      return 0
    fi
    if grep -q "'--launch" "$folder/start.sh" 2>/dev/null; then
      say "the worker that runs here starts its ComfyUI itself: give its options (--launch ...) again"
      return 1
    fi
  fi
  answers http://127.0.0.1:8188/system_stats && return 0
  for place in "${COMFYUI_PATH:-}" /workspace/ComfyUI "$HOME/ComfyUI" /opt/ComfyUI /root/ComfyUI /ComfyUI; do
    if [ -n "$place" ] && [ -f "$place/main.py" ]; then
      python=$(command -v python3 || echo python3)
      for candidate in "$place/venv/bin/python" "$place/.venv/bin/python"; do
        if [ -x "$candidate" ]; then python=$candidate; fi
      done
      say "starting the ComfyUI of $place"
      if ! gives --comfy-dir "$@"; then printf ' --comfy-dir %s' "$(quoted "$place")"; fi
      printf ' --launch %s' "$(quoted "$(quoted "$python") $(quoted "$place/main.py")")"
      return 0
    fi
  done
  say "no ComfyUI answers at 127.0.0.1:8188 and none was found: the worker waits for one there"
}

write_start_script() {
  {
    # What a ComfyUI that the worker starts needs of this shell: its python, its home, readable files.
    printf '#!/bin/sh\numask 022\nexport HOME=%s PATH=%s\n' "$(quoted "$HOME")" "$(quoted "$PATH")"
    # Its key lies there.
    if [ -n "${XDG_STATE_HOME:-}" ]; then
      printf 'export XDG_STATE_HOME=%s\n' "$(quoted "$XDG_STATE_HOME")"
    fi
    printf 'cd %s\n' "$(quoted "$PWD")" # for relative names among the options
    printf 'exec %s --join %s --token-file %s' "$(quoted "$folder/atelier-worker")" \
      "$(quoted "$server")" "$(quoted "$folder/worker.token")"
    for option; do printf ' %s' "$(quoted "$option")"; done
    cat "$folder/found.new"
    printf '\n'
  } >"$folder/start.sh.new"
  if names_comfyui "$@"; then rm -f "$folder/found.new"; fi
  rm -f "$folder/found"
  if [ -f "$folder/found.new" ]; then mv "$folder/found.new" "$folder/found"; fi
  chmod 700 "$folder/start.sh.new"
  mv -f "$folder/start.sh.new" "$folder/start.sh"
}

start_by_systemd() {
  cat >/etc/systemd/system/atelier-worker.service <<UNIT
[Unit]
Description=Atelier worker of $server
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/bin/sh "$folder/start.sh"
StandardOutput=append:$log
StandardError=append:$log
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2
# The worker alone is asked to stop: it ends its ComfyUIs itself, after their jobs.
KillMode=mixed
TimeoutStopSec=86400

[Install]
WantedBy=multi-user.target
UNIT
  systemctl daemon-reload
  systemctl enable --quiet atelier-worker
  stop_by_nohup
  if systemctl is-active --quiet atelier-worker; then say "the worker that runs finishes its job first"; fi
  systemctl stop atelier-worker
  before=$(wc -c <"$log")
  systemctl start atelier-worker
}

# A worker gives its job 10 minutes (--drain-limit).
stop_by_nohup() {
  pid=$(cat "$folder/worker.pid" 2>/dev/null || true)
  running "$pid" || return 0
  say "the worker that runs finishes its job first"
  kill -TERM "$pid" 2>/dev/null || true
  waited=0
  while running "$pid"; do
    sleep 1
    waited=$((waited + 1))
    if [ $waited -ge 660 ]; then
      say "it does not end: it is killed"
      kill -KILL "$pid" 2>/dev/null || true
    fi
  done
}

start_by_nohup() {
  stop_by_nohup
  before=$(wc -c <"$log")
  # Ctrl-C here shall not reach it.
  if command -v setsid >/dev/null; then
    setsid nohup "$folder/start.sh" >>"$log" 2>&1 </dev/null &
  else
    nohup "$folder/start.sh" >>"$log" 2>&1 </dev/null &
  fi
  pid=$!
  printf '%s\n' "$pid" >"$folder/worker.pid"
}

wait_for_link() {
  waited=0
  while [ $waited -lt 120 ]; do
    if tail -c +"$((before + 1))" "$log" 2>/dev/null | grep -q ' link_up '; then
      say "joined $server; the worker's log is $log"
      return 0
    fi
    if [ "$start" = nohup ] && ! kill -0 "$pid" 2>/dev/null; then
      say "the worker ended:"
      tail -c +"$((before + 1))" "$log" | tail -n 5 >&2
      exit 1
    fi
    sleep 1
    waited=$((waited + 1))
  done
  say "no link with $server yet; the worker goes on trying. Its log says:"
  tail -n 5 "$log" >&2
  exit 1
}

refuse_questions() {
  for option; do
    case $option in
      --help | -h | --version) die "options of the worker are told by: atelier-worker --help" ;;
    esac
  done
}

main() {
  refuse_questions "$@"
  find_ca_file "$@"
  check_address
  check_machine
  choose_folder
  ask_for_token
  check_token
  fetch_program
  install_program "$@"
  write_start_script "$@"
  log=$folder/worker.log
  if [ "$(wc -c 2>/dev/null <"$log" || echo 0)" -gt 50000000 ]; then mv -f "$log" "$log.1"; fi
  : >>"$log"
  start=${ATELIER_START:-}
  if [ -z "$start" ]; then
    start='nohup'
    if [ "$(id -u)" = 0 ] && [ -d /run/systemd/system ]; then start='systemd'; fi
  fi
  case $start in
    foreground) exec "$folder/start.sh" ;;
    systemd) start_by_systemd ;;
    nohup) start_by_nohup ;;
    *) die "ATELIER_START is systemd, nohup or foreground, not $start" ;;
  esac
  wait_for_link
}

# All of it has been read before anything is done: a broken download, wherever it ends, does nothing.
{ main "$@"; }
