#!/bin/sh
# Installs the C library: headers, shared and static library, pkg-config file, CMake package.
#
#     packaging/install.sh PREFIX PROFILE_DIR      PROFILE_DIR: target/release or target/debug
#
# Writes under PREFIX only, or under $DESTDIR and PREFIX. Nothing in it names PREFIX, so the folder can be moved
# afterwards.
set -eu

if [ $# -ne 2 ]; then
    echo "usage: $0 PREFIX PROFILE_DIR" >&2
    exit 2
fi
prefix=${DESTDIR:-}$1
built=$2
root=$(cd "$(dirname "$0")/.." && pwd)
version=$(sed -n 's/^#define LIME_VERSION "\(.*\)"$/\1/p' "$root/include/lime.h")
major=${version%%.*}
rest=${version#*.}
minor=${rest%%.*}
for file in liblime.so liblime.a; do
    if [ ! -f "$built/$file" ]; then
        echo "$built/$file is not there: build it with cargo build -p lime-ffi" >&2
        exit 1
    fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# As rustc leaves it, the static library shows some thousand symbols of its parts, which collide with those
# of another Rust library in the same program. One object, in which only lime_* is left global, does not.
ld -r --whole-archive "$built/liblime.a" -o "$work/lime.o"
objcopy --wildcard --remove-section=.llvmbc --remove-section=.llvmcmd --keep-global-symbol='lime_*' "$work/lime.o"
rm -f "$work/liblime.a"
ar rcsD "$work/liblime.a" "$work/lime.o"

# What the static library needs of the system stands in lime.pc.in only.
system=$(sed -n 's/^Libs.private: //p' "$root/packaging/lime.pc.in" | tr ' ' ';')
pointer_size=$(case $(od -An -t u1 -j 4 -N 1 "$built/liblime.so") in *2) echo 8 ;; *) echo 4 ;; esac)
for file in lime.pc lime-config.cmake lime-config-version.cmake; do
    sed -e "s/@VERSION@/$version/g" -e "s/@MAJOR@/$major/g" -e "s/@MINOR@/$minor/g" \
        -e "s/@POINTER_SIZE@/$pointer_size/g" -e "s/@SYSTEM_LIBRARIES@/$system/g" \
        "$root/packaging/$file.in" > "$work/$file"
done

install -d "$prefix/include" "$prefix/lib/pkgconfig" "$prefix/lib/cmake/lime"
install -m 644 "$root/include/lime.h" "$root/include/lime.hpp" "$prefix/include"
install -m 755 "$built/liblime.so" "$prefix/lib/liblime.so.$version"
# What a debugger would like to have is a fifth of it. (cargo strips no library that is built as a static one, too.)
case $built in
*/debug) ;;
*) "${STRIP:-strip}" --strip-unneeded "$prefix/lib/liblime.so.$version" ;;
esac
ln -sf "liblime.so.$version" "$prefix/lib/liblime.so.$major"
ln -sf "liblime.so.$major" "$prefix/lib/liblime.so"
install -m 644 "$work/liblime.a" "$prefix/lib/liblime.a"
install -m 644 "$work/lime.pc" "$prefix/lib/pkgconfig/lime.pc"
install -m 644 "$work/lime-config.cmake" "$work/lime-config-version.cmake" "$prefix/lib/cmake/lime"
