#!/bin/sh
# Builds every fuzz target for libFuzzer and runs each for some minutes: what cargo-fuzz does, without installing it.
#   fuzz/run.sh MINUTES [TARGET]
#   fuzz/run.sh minimise [TARGET]    puts into fuzz/corpus the smallest inputs that reach what all together reach
# A target's corpus grows in build/fuzz/corpus, which begins with what the shared vectors give (fuzz/seeds.py); what
# crashes it is left in build/fuzz/crashes.
set -eu
cd "$(dirname "$0")/.."
case $1 in
minimise) seconds=0 ;;
*)
    seconds=$(($1 * 60))
    [ "$seconds" -gt 0 ] || exit 2 # to libFuzzer 0 is for ever
    ;;
esac
triple=$(rustc -vV | sed -n 's/^host: //p')
work=build/fuzz

"${PYTHON:-python3}" fuzz/seeds.py "$work/corpus"

# The sanitizer flags need an unstable compiler, or a stable one that is told to be one.
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-sanitizer-coverage-stack-depth \
-Zsanitizer=address -Ccodegen-units=1 -Cdebug-assertions --cfg fuzzing"
cargo build --quiet --locked --release --bins --manifest-path fuzz/libfuzzer/Cargo.toml --target "$triple" \
    --target-dir "$work/target"

# Leaks are looked for at the end of each process; after each input it would take longer than all else.
for source in fuzz/libfuzzer/src/bin/${2:-*}.rs; do
    target=$(basename "$source" .rs)
    binary="$work/target/$triple/release/$target"
    mkdir -p "$work/corpus/$target" "$work/crashes/$target" "fuzz/corpus/$target"
    if [ "$1" = minimise ]; then
        rm -rf "$work/small/$target"
        mkdir -p "$work/small/$target"
        "$binary" -merge=1 "$work/small/$target" "fuzz/corpus/$target" "$work/corpus/$target"
        "${PYTHON:-python3}" fuzz/keep.py "$work/small/$target" "fuzz/corpus/$target"
        continue
    fi
    "$binary" "$work/corpus/$target" "fuzz/corpus/$target" -max_total_time="$seconds" -max_len=4096 -timeout=60 \
        -detect_leaks=0 -print_final_stats=1 -artifact_prefix="$work/crashes/$target/"
done
