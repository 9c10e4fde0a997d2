#!/bin/sh
# `npm run bench`: installs what the benchmark needs, then runs it with the project's own Node.js.
# Exit code 3: this machine cannot run it, and why is printed.
set -eu

bench=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$bench/../.." && pwd)

for argument in "$@"; do
  case $argument in -h | --help) help=yes ;; esac
done

if [ "${help:-no}" = no ] && [ "$(id -u)" -ne 0 ]; then
  cat >&2 <<'TEXT'
The benchmark needs root: it makes network namespaces, and DHCP is served on port 67. Nothing outside of
those namespaces is touched, and all is removed at the end. Run:  sudo npm run bench
TEXT
  exit 3
fi

# To standard error: `--json -` leaves standard output to the figures.
"$project/deploy/lab/install.sh" bench >&2
exec "$project/node_modules/.bin/node" "$bench/main.ts" "$@"
