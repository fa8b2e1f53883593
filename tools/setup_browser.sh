#!/bin/sh
# Sets up what opens the sandbox's page: Node, a Chromium, and playwright-core inside the checkout.
set -eu
cd "$(dirname "$0")/.."

missing=""
command -v node >/dev/null 2>&1 || missing="$missing nodejs"
command -v npm >/dev/null 2>&1 || missing="$missing npm"
if [ -z "${CHROMIUM:-}" ]; then
  command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 \
    || command -v google-chrome >/dev/null 2>&1 || missing="$missing chromium"
fi
if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null
  else
    echo "These Debian packages are needed:$missing  (sudo apt-get install$missing)" >&2
    exit 1
  fi
fi

stamp=tests/browser/node_modules/.stamp
if ! cmp -s tests/browser/package-lock.json "$stamp"; then
  npm ci --prefix tests/browser --silent --no-audit --no-fund
  cp tests/browser/package-lock.json "$stamp"
fi
