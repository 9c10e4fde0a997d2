#!/bin/sh
# `npm start`: installs what the lab needs, then runs it with the project's own Node.js.
# Exit code 3: this machine cannot run the lab, and why is printed.
set -eu

lab=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$lab/../.." && pwd)

for argument in "$@"; do
  case $argument in -h | --help) help=yes ;; esac
done

if [ "${help:-no}" = no ] && [ "$(id -u)" -ne 0 ]; then
  cat >&2 <<'TEXT'
The lab needs root: it makes network namespaces, and DHCP is served on port 67. Nothing outside of
those namespaces is touched, and all is removed at the end.

  sudo npm start              run the lab
  sudo npm start -- --check   run it as a script of steps

Without root (a single node cannot serve either: port 67 belongs to root), this works:

  npm test                    every test that this machine can run as you are
TEXT
  exit 3
fi

node=$project/node_modules/.bin/node
if [ "${help:-no}" = no ] || [ ! -x "$node" ]; then "$lab/install.sh" lab; fi
exec "$node" "$lab/lab.ts" "$@"
