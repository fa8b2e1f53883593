#!/bin/sh
# Compiles a crate of this workspace so that it counts what runs (RUSTC_WORKSPACE_WRAPPER, see tools/coverage.py).
exec "$@" -C instrument-coverage
