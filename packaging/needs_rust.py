"""The build backend of both source distributions: maturin, which is asked only where Rust is.

By itself maturin downloads a Rust of its own where there is none. Whoever installs a package has not asked
for a compiler; so this says in one line what is missing.
"""

import os
import shutil
import sys

import maturin

build_sdist = maturin.build_sdist
get_requires_for_build_sdist = maturin.get_requires_for_build_sdist


def _where_rust_is(hook):
    """The same hook, which ends the build where it cannot succeed."""

    def checked(*arguments, **settings):
        compiler = os.environ.get("CC", "").split() or ["cc"]
        missing = [name for name in ("cargo", compiler[0]) if shutil.which(name) is None]
        if missing:
            sys.exit(
                "error: no wheel fits this Python and platform, and to build one "
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing: "
                "install Rust 1.89 or later (https://rustup.rs) and a C compiler"
            )
        return hook(*arguments, **settings)

    return checked


# pip asks the first one before it downloads anything, and without isolation begins at the second.
get_requires_for_build_wheel = _where_rust_is(maturin.get_requires_for_build_wheel)
prepare_metadata_for_build_wheel = _where_rust_is(maturin.prepare_metadata_for_build_wheel)
build_wheel = _where_rust_is(maturin.build_wheel)
get_requires_for_build_editable = _where_rust_is(maturin.get_requires_for_build_editable)
prepare_metadata_for_build_editable = _where_rust_is(maturin.prepare_metadata_for_build_editable)
build_editable = _where_rust_is(maturin.build_editable)
