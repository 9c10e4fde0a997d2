#!/bin/sh
# `npm test`: installs what is missing, then type check, lint and every test that this machine can run.
#
#   npm test                      all
#   npm test -- test/unit/*.ts    type check, lint and these test files
#
# What is left out is named with its reason before the closing lines; with CI=true leaving out is a failure.
# All temporary files lie in one folder, and every process inherits its name: both are gone at the end,
# also after Ctrl-C, and so are the network namespaces.
set -eu

project=$(cd "$(dirname "$0")/.." && pwd)
cd "$project"

node=$project/node_modules/.bin/node
# Whatever Node.js the machine has, what runs here runs with the project's.
export PATH="$project/node_modules/.bin:$PATH"
folder=$(mktemp -d "${TMPDIR:-/tmp}/lessor-test-XXXXXX")
export TMPDIR="$folder"
# A runner inside a runner would report to the outer one.
unset NODE_OPTIONS NODE_TEST_CONTEXT

say() { printf '%s\n' "$*"; }

# The processes of this run, whoever their parents are: the folder's name is in their environment.
own_processes() {
  # Not these two themselves.
  TMPDIR=/tmp grep -lsz "^TMPDIR=$folder" /proc/[0-9]*/environ | TMPDIR=/tmp sed 's|^/proc/\([0-9]*\)/.*|\1|'
}

end_processes() {
  own=$(own_processes)
  [ -n "$own" ] || return 0
  # shellcheck disable=SC2086
  kill -TERM $own 2>/dev/null || true
  for _ in 1 2 3 4 5; do
    sleep 0.2
    own=$(own_processes)
    [ -n "$own" ] || return 0
  done
  # shellcheck disable=SC2086
  kill -KILL $own 2>/dev/null || true
  sleep 0.2
}

clean_up() {
  trap '' INT TERM HUP
  end_processes
  if [ -x "$node" ]; then
    "$node" --eval "import('$project/deploy/lab/netns.ts').then(({ sweepLeftovers }) => sweepLeftovers())" 2>/dev/null || true
  fi
  rm -rf "$folder"
}

trap clean_up EXIT
for signal in HUP:129 INT:130 TERM:143; do
  # shellcheck disable=SC2064
  trap "say 'Interrupted: stopping and removing everything.' >&2; exit ${signal#*:}" "${signal%:*}"
done

# In the background, since a shell that waits for a program in the foreground hears no signal.
run() {
  "$@" &
  wait $!
}

status=0
run bash deploy/lab/install.sh test || status=$?
if [ "$status" -ne 0 ]; then
  # 3: some programs are missing and cannot be got here. The tests that need them are left out.
  if [ "$status" -ne 3 ] || [ ! -x "$node" ] || [ "${CI:-}" = true ]; then exit "$status"; fi
  say 'Going on without them.'
fi

say 'Type check (tsc)'
run tsc --noEmit

say 'Lint (oxlint)'
run oxlint --type-aware

# Whatever hangs is ended, and named by the report, long before an hour is over.
priority=
tests() {
  concurrency=$1
  shift
  # shellcheck disable=SC2086
  run $priority timeout --signal=INT --kill-after=30 2700 "$node" --test --test-concurrency="$concurrency" --test-timeout=600000 \
    --test-reporter=./test/support/reporter.ts --test-reporter-destination=stdout "$@" || status=$?
}

status=0
if [ $# -gt 0 ]; then
  say 'Tests'
  tests 1 "$@"
else
  say 'Tests of parts'
  tests 2 'test/@(unit|spec)/**/*.test.ts'
  # Three files at a time: each has a network of its own, and mostly waits.
  say 'Tests of the whole'
  tests 3 'test/@(e2e|containers)/**/*.test.ts'
  # Simulated worlds take what the torture leaves of two cores, and nothing that it needs.
  say 'Torture, and simulated worlds meanwhile'
  (priority='nice -n 19'; tests 1 'test/sim/**/*.test.ts'; exit "$status") >"$folder/simulated" &
  simulated=$!
  tests 1 'test/torture/**/*.test.ts'
  wait "$simulated" || status=$?
  cat "$folder/simulated"
  # One file at a time: those that say how long clients wait.
  say 'Tests that measure'
  tests 1 'test/!(unit|spec|e2e|containers|torture|sim)/**/*.test.ts'
fi
exit "$status"
