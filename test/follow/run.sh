#!/bin/sh
# `npm run follow`: installs what it needs, then runs it with the project's own Node.js.
# Exit code 3: this machine cannot run it, and why is printed.
set -eu

follow=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$follow/../.." && pwd)

for argument in "$@"; do
  case $argument in -h | --help) help=yes ;; esac
done

if [ "${help:-no}" = no ] && [ "$(id -u)" -ne 0 ]; then
  cat >&2 <<'TEXT'
Following changes through takeovers needs root: it makes network namespaces, and DHCP is served on port 67. Nothing outside of
those namespaces is touched, and all is removed at the end. Run:  sudo npm run follow
TEXT
  exit 3
fi

"$project/deploy/lab/install.sh" test
exec "$project/node_modules/.bin/node" "$follow/main.ts" "$@"
