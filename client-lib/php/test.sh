#!/usr/bin/env bash
# Runs the tests against $PLUGIND_LIBRARY, else the libplugind that the loader finds.  The gRPC
# server that they call is the one of the Python tests.  PHPUnit needs the extensions mbstring and dom
# (apt-get install php-mbstring php-xml).
set -euo pipefail
cd "$(dirname "$0")"
./setup.sh >&2
../python/setup.sh >&2
export PHP_INI_SCAN_DIR=":$PWD/.cache/conf.d"
phpunit=.cache/debian/usr/bin/phpunit
[[ -e $phpunit ]] || phpunit=/usr/bin/phpunit
exec php "$phpunit" "$@"
