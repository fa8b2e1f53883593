"""The binary interface as text, so that a change of it shows up in a reviewed file.

    python3 tools/abi.py --write [--target-dir target/debug]     (make abi)
    python3 tools/abi.py --release [--target-dir target/debug]

`abi/symbols.txt`, `constants.txt` and `declarations.txt` say what there is now; --write writes them.
`abi/N/` is the header of a released LIME_ABI_VERSION N and what libabigail saw in it; it never changes,
and nothing that is in it may go or change: --write refuses then. --release adds the folder of the
present version.
"""

from __future__ import annotations

import argparse
import difflib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import c_header

ROOT = Path(__file__).resolve().parents[1]
ABI = ROOT / "abi"
HEADER = ROOT / "include/lime.h"
# They are what a new version changes.
OF_THE_VERSION = ("LIME_VERSION", "LIME_ABI_VERSION")


def run(*command: str | Path) -> str:
    """What a command prints; it has to end well."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(
            f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def symbols(library: Path) -> str:
    """What the built library exports."""
    names = (
        line.split()[2].split("@")[0] for line in run("nm", "-D", "--defined-only", library).splitlines()
    )
    return "".join(f"{name}\n" for name in sorted(names))


def declarations(header: Path) -> str:
    """Every type, callback and function, each in a line."""
    found = c_header.read(header)
    lines = [f"typedef struct {name} {name};" for name in sorted(found.handles)]
    for name, callback in sorted(found.callbacks.items()):
        head, parameters = callback.declaration.split("(", 1)
        lines.append(f"typedef {head.removesuffix(name)}(*{name})({parameters};")
    lines += [f"{function.declaration};" for _, function in sorted(found.functions.items())]
    return "".join(f"{line}\n" for line in lines)


def constants(header: Path) -> str:
    """Every constant with its value, as a compiler has it."""
    names = c_header.read(header).constants
    lines = [f'    SHOW("{name}", {name});' for name in names]
    program = f"""
#include "{header}"
#include <stdio.h>
static void text(const char *name, const char *value) {{ printf("%s \\"%s\\"\\n", name, value); }}
static void number(const char *name, long long value) {{ printf("%s %lld\\n", name, value); }}
static void natural(const char *name, unsigned long long value) {{ printf("%s %lluu\\n", name, value); }}
#define SHOW(name, value) _Generic((value), char *: text, unsigned long: natural, default: number)(name, value)
int main(void) {{
{chr(10).join(lines)}
    return 0;
}}
"""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "constants.c"
        source.write_text(program)
        run("cc", "-std=c11", "-o", source.with_suffix(""), source)
        return "".join(f"{line}\n" for line in sorted(run(source.with_suffix("")).splitlines()))


def dump(header: Path) -> str:
    """What libabigail sees in a library that has every function of the header and nothing in them."""
    functions = c_header.read(header).functions.values()
    bodies = "\n".join(f"{function.declaration} {{ __builtin_trap(); }}" for function in functions)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(header, Path(folder) / "lime.h")
        source = Path(folder) / "lime.c"
        source.write_text(f'#include "lime.h"\n{bodies}\n')
        library = Path(folder) / "liblime.so"
        # Unused parameters are all that it has; its name is that of the header's library.
        run(
            "cc",
            "-std=c11",
            "-g",
            "-w",
            "-shared",
            "-fPIC",
            "-Wl,-soname,liblime.so.0",
            f"-fdebug-prefix-map={folder}=.",
            "-o",
            library,
            source,
        )
        return run(
            "abidw",
            *("--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--no-elf-needed"),
            *("--no-write-default-sizes", "--type-id-style", "hash"),
            library,
        )


def texts(library: Path, header: Path = HEADER) -> dict[str, str]:
    """The files that say what there is now."""
    return {
        "symbols.txt": symbols(library),
        "constants.txt": constants(header),
        "declarations.txt": declarations(header),
    }


def difference(name: str, there: str, now: str) -> str | None:
    """What is not the same, as a diff."""
    if there == now:
        return None
    lines = difflib.unified_diff(there.splitlines(), now.splitlines(), f"abi/{name}", "now", lineterm="", n=0)
    return "\n".join([*lines, "If that is meant, `make abi` writes it down."])


def released() -> list[Path]:
    """The headers of the released versions, the oldest first."""
    return sorted(ABI.glob("*/lime.h"), key=lambda path: int(path.parent.name))


def broken(old: Path, header: Path = HEADER) -> Iterator[str]:
    """What a program that was built with the old header would miss or misunderstand."""
    was, is_ = c_header.read(old), c_header.read(header)
    now = set(declarations(header).splitlines())
    for line in declarations(old).splitlines():
        if line not in now:
            yield f"gone or changed: {line}"
    values = dict(line.split(" ", 1) for line in constants(header).splitlines())
    for line in constants(old).splitlines():
        name, value = line.split(" ", 1)
        if not name.startswith(OF_THE_VERSION) and values.get(name) != value:
            yield f"{name} was {value}, is {values.get(name, 'gone')}"
    version = "LIME_ABI_VERSION"
    if int(is_.constants[version]) < int(was.constants[version]):
        yield f"{version} has become less"
    grown = is_.functions.keys() - was.functions.keys() or is_.constants.keys() - was.constants.keys()
    if grown and is_.constants[version] == was.constants[version]:
        yield f"there is more than in version {was.constants[version]}, and {version} is the same"
    yield from abidiff(old.parent / "lime.abi", header)


def abidiff(old: Path, header: Path) -> Iterator[str]:
    """What libabigail finds changed; what is new is no change."""
    with tempfile.TemporaryDirectory() as folder:
        now = Path(folder) / "lime.abi"
        now.write_text(dump(header))
        command = ["abidiff", "--no-added-syms", str(old), str(now)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            yield f"abidiff ended with {done.returncode}:\n{done.stdout}{done.stderr}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target-dir", type=Path, default=ROOT / "target/debug")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true")
    what.add_argument("--release", action="store_true")
    options = parser.parse_args()
    faults = [f"{old.parent.name}: {fault}" for old in released() for fault in broken(old)]
    if faults:
        sys.exit("programs of a released version would break:\n" + "\n".join(faults))
    for name, text in texts(options.target_dir / "liblime.so").items():
        (ABI / name).write_text(text)
    if options.release:
        number = re.search(r"LIME_ABI_VERSION (\d+)", HEADER.read_text())
        folder = ABI / number[1]
        if folder.exists():
            sys.exit(f"{folder.relative_to(ROOT)} was released already: it never changes")
        folder.mkdir()
        shutil.copy(HEADER, folder)
        (folder / "lime.abi").write_text(dump(HEADER))


if __name__ == "__main__":
    main()
