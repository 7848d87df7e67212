#!/usr/bin/env bash
# Fetches what the tests and the sample host need beside php-cli, protoc and libplugind: the
# protobuf runtime and PHPUnit, out of Debian's packages, unpacked under .cache/ where they are not
# installed; and generates the messages of the plugins' services.  Quick when nothing has changed.
# Needs no root.  Elsewhere than on Debian, `composer install` gets the same two.
set -euo pipefail
cd "$(dirname "$0")"
protos=../../plugins/proto

stamp="$PWD $(cat setup.sh "$protos"/*.proto | cksum) $(php -r 'echo PHP_VERSION;')"
if [[ "$(cat .cache/stamp 2>/dev/null)" == "$stamp" ]]; then
  exit 0
fi

rm -rf .cache
mkdir -p .cache/packages .cache/debian/usr/share/php .cache/messages .cache/conf.d
missing=$(apt-get install --simulate --no-install-recommends php-google-protobuf phpunit |
  awk '/^Inst/ { print $2 }')
if [[ -n $missing ]]; then
  # shellcheck disable=SC2086 # one word a package
  (cd .cache/packages && apt-get download -qq $missing 2>&1 | grep -v unsandboxed >&2) || true
  for package in $missing; do
    dpkg-deb --extract .cache/packages/"${package}"_*.deb .cache/debian
  done
fi

# PHP reads these settings when PHP_INI_SCAN_DIR names the directory.
echo "include_path = \".:$PWD/.cache/messages:$PWD/.cache/debian/usr/share/php:/usr/share/php\"" \
  >.cache/conf.d/plugind.ini

protoc --proto_path="$protos" --php_out=.cache/messages "$protos"/*.proto
echo "$stamp" >.cache/stamp
