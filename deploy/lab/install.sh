#!/bin/bash
# Makes what the lab, the tests or the benchmark need available, and says what it does.
#
#   deploy/lab/install.sh lab|test|bench ...
#
# Node packages come from the npm registry. Programs that are not in PATH come from Debian and are only
# unpacked, with the libraries they lack, into .cache/debian/root: nothing is installed on the machine,
# so no service starts and no interface is touched. `programs.ts` finds them there.
# Exit codes: 0 all there, 1 a download or unpacking failed, 2 wrong usage, 3 something is missing
# that this script may or can not get.
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=$project/.cache/debian
tree=$cache/root
# Debian leaves the sbin folders out of an ordinary user's PATH.
search=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# program or Perl library, Debian package, groups
table='
ip          iproute2          lab test bench
tc          iproute2          test
etcd        etcd-server       lab test bench
etcdctl     etcd-client       lab test bench
perfdhcp    kea-admin         lab test bench
udhcpc      udhcpc            lab test
dhclient    isc-dhcp-client   lab test
dhcpcd      dhcpcd-base       test
dhcrelay    isc-dhcp-relay    test
tshark      tshark            test
nft         nftables          test
faketime    faketime          test
kea-dhcp4   kea-dhcp4-server  test bench
dhcpd       isc-dhcp-server   test
Net/DHCP/Packet.pm libnet-dhcp-perl test
openssl     openssl           test
systemd-analyze systemd       test
promtool    prometheus        test
prometheus  prometheus        test
dockerd     docker.io         test
containerd  containerd        test
runc        runc              test
busybox     busybox           test
named       bind9             test bench
delv        bind9-dnsutils    test
knotd       knot              test
'

say() { printf '%s\n' "$*"; }
complain() { printf '%s\n' "$*" >&2; }

have_program() {
  local folder
  local IFS=:
  for folder in $search "$tree/usr/sbin" "$tree/usr/bin" "$tree/sbin" "$tree/bin"; do
    [ -x "$folder/$1" ] && return 0
  done
  # A library of Perl, for what comes with Debian as the program perl.
  [ -e "/usr/share/perl5/$1" ] || [ -e "$tree/usr/share/perl5/$1" ]
}

# Sets missing_programs and missing_packages for the groups asked for.
find_missing() {
  local program package groups wanted
  missing_programs=() missing_packages=()
  while read -r program package groups; do
    [ -n "$program" ] || continue
    for wanted in "$@"; do
      if [[ " $groups " == *" $wanted "* ]]; then
        if ! have_program "$program"; then
          missing_programs+=("$program")
          missing_packages+=("$package")
        fi
        break
      fi
    done
  done <<<"$table"
}

install_node_modules() {
  local installed=$project/node_modules/.package-lock.json
  if [ -e "$installed" ] && [ ! "$project/package-lock.json" -nt "$installed" ]; then return 0; fi
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    complain 'Missing: node and npm. Install Node.js 20 or newer with npm (Debian: apt-get install nodejs npm), then run this again.'
    exit 3
  fi
  say 'Installing the npm packages of package-lock.json into node_modules (npm ci)'
  local log
  log=$(mktemp)
  if ! (cd "$project" && npm ci --no-audit --no-fund --loglevel=error) >"$log" 2>&1; then
    # A lock file that was made where the registry has no packages for other systems names only this
    # one's, and npm ci refuses it; install takes the versions that it names all the same.
    if grep -q 'code EUSAGE' "$log" && grep -q 'Missing: .* from lock file' "$log"; then
      say 'package-lock.json lacks optional packages of other systems; installing what it names (npm install --no-save)'
      (cd "$project" && npm install --no-save --no-audit --no-fund --loglevel=error) >"$log" 2>&1 && rm "$log" && return 0
    fi
    tail -n 40 "$log" >&2
    rm "$log"
    complain 'The npm packages could not be installed; see above.'
    exit 1
  fi
  rm "$log"
}

# apt-get resolves, downloads and checks; it is kept from installing anything.
fetch_packages() {
  local archives=$cache/archives
  mkdir -p "$archives/partial"
  chmod -R a+rX "$cache"
  local apt=(apt-get -qq --yes --no-install-recommends --download-only
    -o "Dir::Cache::archives=$archives" -o Debug::NoLocking=true
    # The sandbox user of apt may not be able to write below a home folder.
    -o APT::Sandbox::User=root)
  # Package lists may be absent, or too old to name files that the mirror still has.
  if ! "${apt[@]}" install "${missing_packages[@]}" >"$cache/apt.log" 2>&1; then
    say 'Fetching the package lists (apt-get update)'
    apt-get -qq update >"$cache/apt.log" 2>&1 || { cat "$cache/apt.log" >&2; complain 'apt-get update failed; see above.'; return 1; }
    if ! "${apt[@]}" install "${missing_packages[@]}" >"$cache/apt.log" 2>&1; then
      cat "$cache/apt.log" >&2
      complain "Debian's packages could not be downloaded: ${missing_packages[*]}"
      return 1
    fi
  fi
}

# Into a copy that takes the tree's place at the end, so that an interrupted run leaves no half tree.
unpack_packages() {
  local next=$cache/root.next archive name link target
  rm -rf "$next" "$cache/root.old"
  mkdir -p "$next"
  if [ -d "$tree" ]; then cp -al "$tree/." "$next/"; fi
  for archive in "$cache"/archives/*.deb; do
    name=${archive##*/}
    say "Unpacking $name into .cache/debian"
    dpkg-deb -x "$archive" "$next"
  done
  # Links such as /sbin/udhcpc -> /bin/busybox would lead out of the tree.
  find "$next" -type l -lname '/*' -printf '%p\t%l\n' | while IFS=$'\t' read -r link target; do
    if [ -e "$next$target" ]; then ln -sfr "$next$target" "$link"; fi
  done
  if [ -d "$tree" ]; then mv "$tree" "$cache/root.old"; fi
  mv "$next" "$tree"
  rm -rf "$cache/root.old" "$cache/archives"
}

# Scripts of clients and `ip netns exec` need ip in its usual place, with its libraries; it brings no service.
install_iproute() {
  local install=(apt-get -qq --yes --no-install-recommends install iproute2)
  say 'Installing iproute2 from Debian (the program ip; no service comes with it)'
  "${install[@]}" >"$cache/apt.log" 2>&1 && return 0
  say 'Fetching the package lists (apt-get update)'
  apt-get -qq update >"$cache/apt.log" 2>&1 && "${install[@]}" >"$cache/apt.log" 2>&1 && return 0
  cat "$cache/apt.log" >&2
  complain 'iproute2 could not be installed; see above.'
  return 1
}

install_programs() {
  find_missing "$@"
  [ ${#missing_programs[@]} -eq 0 ] && return 0
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    complain "Missing programs: ${missing_programs[*]}"
    complain "This machine has no apt-get to get them with. Put them into PATH (Debian has them in: ${missing_packages[*]}) and run this again."
    exit 3
  fi
  if [ "$(id -u)" -ne 0 ]; then
    complain "Missing programs: ${missing_programs[*]}"
    complain "Run as root:  sudo deploy/lab/install.sh $*   (unpacks them into .cache/debian, installs nothing)"
    complain "or put them into PATH yourself (Debian has them in: ${missing_packages[*]})."
    exit 3
  fi
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9
  # Somebody else may have been at it while this run waited.
  find_missing "$@"
  [ ${#missing_programs[@]} -eq 0 ] && return 0
  if ! have_program ip; then
    install_iproute || exit 1
    find_missing "$@"
    [ ${#missing_programs[@]} -eq 0 ] && return 0
  fi
  say "Getting from Debian: ${missing_programs[*]}"
  fetch_packages || exit 1
  unpack_packages
  find_missing "$@"
  if [ ${#missing_programs[@]} -ne 0 ]; then
    complain "Still missing after unpacking: ${missing_programs[*]}"
    exit 1
  fi
}

main() {
  local group
  [ $# -gt 0 ] || { complain 'Usage: deploy/lab/install.sh lab|test|bench ...'; exit 2; }
  for group in "$@"; do
    case $group in
      lab | test | bench) ;;
      *) complain "Unknown group: $group (known: lab, test, bench)"; exit 2 ;;
    esac
  done
  install_node_modules
  install_programs "$@"
}

main "$@"
