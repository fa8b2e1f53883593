#!/bin/sh
# Builds every fuzz target and runs each for some minutes: what cargo-fuzz does, without installing it.
#   fuzz/run.sh MINUTES [TARGET]
# A target's corpus grows in build/fuzz/corpus; what crashes it is left in build/fuzz/crashes.
set -eu
cd "$(dirname "$0")/.."
seconds=$(($1 * 60))
[ "$seconds" -gt 0 ] || exit 2 # to libFuzzer 0 is for ever
triple=$(rustc -vV | sed -n 's/^host: //p')
work=build/fuzz

# The sanitizer flags need an unstable compiler, or a stable one that is told to be one.
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-sanitizer-coverage-stack-depth \
-Zsanitizer=address -Ccodegen-units=1 -Cdebug-assertions --cfg fuzzing"
cargo build --quiet --locked --release --bins --manifest-path fuzz/Cargo.toml --target "$triple" --target-dir "$work/target"

for source in fuzz/fuzz_targets/${2:-*}.rs; do
    target=$(basename "$source" .rs)
    mkdir -p "$work/corpus/$target" "$work/crashes/$target"
    "$work/target/$triple/release/$target" "$work/corpus/$target" "fuzz/corpus/$target" \
        -max_total_time="$seconds" -max_len=4096 -print_final_stats=1 -artifact_prefix="$work/crashes/$target/"
done
