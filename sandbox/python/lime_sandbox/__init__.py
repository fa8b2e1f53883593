"""The LIME platform and the Sesame broker on a local port, as a program that a wheel brings.

``lime-sandbox`` and ``python -m lime_sandbox`` run it. Tests use it by ``lime_sdk.testing``.
"""

import os
import sys
import sysconfig

__all__ = ["find_binary"]


def find_binary() -> str:
    """The path of the ``lime-sandbox`` that this wheel brought.

    Raises:
        FileNotFoundError: It is not where an installation puts it.
    """
    name = "lime-sandbox" + (sysconfig.get_config_var("EXE") or "")
    user_scheme = sysconfig.get_preferred_scheme("user")
    here = os.path.dirname(os.path.abspath(__file__))
    folders = [
        sysconfig.get_path("scripts"),
        # pip install --user, pip install --prefix, pip install --target
        sysconfig.get_path("scripts", scheme=user_scheme),
        os.path.join(here, *[os.pardir] * 4, "bin"),
        os.path.join(here, os.pardir, "bin"),
    ]
    for folder in folders:
        path = os.path.normpath(os.path.join(folder, name))
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(
        f"no {name} in {', '.join(folders)}: {sys.executable} -m pip install lime-sandbox"
    )
