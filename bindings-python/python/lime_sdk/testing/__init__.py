"""Test your own code against both platforms on a local port.

Needs the sandbox: ``pip install 'lime-sdk[testing]'``. With pytest the fixtures are there by themselves:
``lime_sandbox``, ``site``, ``agent``, ``sesame`` (:mod:`lime_sdk.testing.plugin`). Without it::

    from lime_sdk.testing import LimeSandbox

    with LimeSandbox() as sandbox, sandbox.sesame() as client, sandbox.auto_approve("payments.*"):
        approval = client.approvals.trigger("payments.refund", "Refund $42.00")
        assert approval.wait(timeout=10).approved
"""

from lime_sdk._lazy import loader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lime_sdk.testing._process import SandboxError, find_binary
    from lime_sdk.testing._sandbox import LimeSandbox, Rule

# Every pytest of an environment that has this package loads it for the plugin: nothing more than that.
_MODULES = {
    "LimeSandbox": "lime_sdk.testing._sandbox",
    "Rule": "lime_sdk.testing._sandbox",
    "SandboxError": "lime_sdk.testing._process",
    "find_binary": "lime_sdk.testing._process",
}

__all__ = ["LimeSandbox", "Rule", "SandboxError", "find_binary"]

__getattr__, __dir__ = loader(globals(), _MODULES)
