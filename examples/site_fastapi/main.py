"""A site that agents sign in at, with any number of worker processes.

    uvicorn main:app --workers 4
    gunicorn main:app --workers 4 --worker-class uvicorn_worker.UvicornWorker     (--preload or not)

Reads LIME_API_BASE and LIME_SITE_TOKEN; keeps sessions in SESSIONS_DB (default sessions.db).

Each worker process has one LimeSite, made inside its event loop, and each hears of every login: also of
those that another worker has begun. So where the visitor comes from does not matter, and a login is not lost
with the worker that began it. But a session must be made once: not by a dictionary of one process, but by one
statement in the store that all of them share. The first worker makes it, the others find it made.
"""

import os
import secrets
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException, Request, Response

from lime_sites import LimeSite

DATABASE = os.environ.get("SESSIONS_DB", "sessions.db")


def open_database() -> sqlite3.Connection:
    """One connection for each worker. A database that is farther away belongs behind an async driver."""
    database = sqlite3.connect(DATABASE, timeout=30, isolation_level=None)
    database.execute(
        "CREATE TABLE IF NOT EXISTS logins (request_id TEXT PRIMARY KEY, ticket TEXT UNIQUE NOT NULL, "
        "state TEXT NOT NULL DEFAULT 'pending', agent_id TEXT, session TEXT UNIQUE)"
    )
    return database


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # Here, not beside `app`: with --preload that runs in the parent, before the workers are there.
    database = open_database()
    async with LimeSite() as site:

        @site.on_login
        async def ended(request_id: str, passport: str | None) -> None:
            if passport is None:
                database.execute(
                    "UPDATE logins SET state = 'expired' WHERE request_id = ? AND state = 'pending'",
                    [request_id],
                )
                return
            verified = await site.verify_passport(passport, expected_request_id=request_id)
            # One statement: of all workers that come here, it changes the row for one.
            made = database.execute(
                "UPDATE logins SET state = 'signed in', agent_id = ?, session = ? "
                "WHERE request_id = ? AND state = 'pending'",
                [verified.claims["agent_id"], secrets.token_urlsafe(32), request_id],
            ).rowcount
            print(f"{'session made' if made else 'session was there'}\t{request_id}", flush=True)

        app.state.site = site
        app.state.database = database
        yield
    database.close()


app = FastAPI(lifespan=lifespan)


@app.post("/login")
async def begin(request: Request) -> dict[str, str]:
    """Begin a login. The request's id goes to the agent, the ticket stays with the visitor."""
    login = await request.app.state.site.create_login_request()
    ticket = secrets.token_urlsafe(32)
    # Before anybody knows the id: so there is a row when the event comes, whichever worker it comes to.
    request.app.state.database.execute(
        "INSERT INTO logins (request_id, ticket) VALUES (?, ?)", [login.request_id, ticket]
    )
    return {"request_id": login.request_id, "ticket": ticket}


@app.get("/session")
async def session(request: Request, response: Response, ticket: Annotated[str, Header()]) -> dict[str, str]:
    """Where the login stands: 200 with the session, 202 while it is pending, 410 when it has expired."""
    row = request.app.state.database.execute(
        "SELECT state, agent_id, session FROM logins WHERE ticket = ?", [ticket]
    ).fetchone()
    if row is None:
        raise HTTPException(404, "there is no such login")
    state, agent_id, found = row
    if state == "expired":
        raise HTTPException(410, "nobody signed in in time")
    if state == "pending":
        response.status_code = 202
        return {"state": state}
    return {"state": state, "agent_id": agent_id, "session": found}
