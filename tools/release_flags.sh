#!/bin/sh
# What rustc is told besides for what people get: no path of this machine is in it, and the bytes are the same wherever
# it is built. (aws-lc's build does that for its C by itself.)
set -eu
cd "$(dirname "$0")/.."
# Where several fit, the last counts.
echo "--remap-path-prefix=$(pwd)=/lime --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=/crates"
