#!/bin/sh
# Sets up the type checker that editors use, inside the checkout. It needs Node.
set -eu
cd "$(dirname "$0")/.."

if ! command -v npm >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nodejs npm >/dev/null
  else
    echo "These Debian packages are needed: nodejs npm  (sudo apt-get install nodejs npm)" >&2
    exit 1
  fi
fi

stamp=tests/typing/node_modules/.stamp
if ! cmp -s tests/typing/package-lock.json "$stamp"; then
  npm ci --prefix tests/typing --silent --no-audit --no-fund
  cp tests/typing/package-lock.json "$stamp"
fi
