"""What type checkers say of ``login``: an ignored error that does not occur is one, too."""

from __future__ import annotations

from lime_agents import ApprovalResult, LimeAgent, LoginProgress


class AsPublished(LimeAgent):
    """As the published package's document has it, with annotations."""

    async def login(self, request_id: str) -> ApprovalResult:
        return await super().login(request_id)


class WithProgress(LimeAgent):
    async def login(self, request_id: str, *, on_progress: object = None) -> ApprovalResult:
        return await super().login(request_id, on_progress=print if on_progress else None)


class Wrong(LimeAgent):
    async def login(self, request_id: int) -> ApprovalResult:  # type: ignore[override]
        return await super().login(str(request_id))


def show(progress: LoginProgress) -> None:
    print(progress.stage)


def wrong(progress: str) -> None: ...


async def main(agent: LimeAgent, published: AsPublished, other: WithProgress) -> ApprovalResult:
    await agent.login("lr", on_progress=show)
    await agent.login("lr", on_progress=None)
    await agent.login(request_id="lr")
    await published.login("lr")
    await other.login("lr", on_progress=show)
    await agent.login("lr", on_progres=show)  # type: ignore[call-overload]
    await agent.login("lr", show)  # type: ignore[call-overload]
    await agent.login("lr", on_progress=wrong)  # type: ignore[arg-type]
    await published.login("lr", on_progress=show)  # type: ignore[call-arg]
    result = await agent.login("lr")
    print(result.approved)  # type: ignore[attr-defined]
    return result
