// A site that agents sign in at, with any number of worker processes.
//
//     node main.mjs [PORT] [WORKERS]
//
// Reads LIME_API_BASE and LIME_SITE_TOKEN; keeps sessions in the folder SESSIONS_DIR (default sessions). Prints its
// address when all workers listen, then a line for each session. SIGTERM ends it.
//
// Each worker process has one LimeSite, and each hears of every login: also of those that another worker has begun. So
// where the visitor comes from does not matter, and a login is not lost with the worker that began it. But a session must
// be made once: not by a Map of one process, but by one step of the store that all of them share. Here it is a file that
// only one of them can create; in a database it would be an INSERT, or an UPDATE … WHERE state = 'pending'.

import cluster from 'node:cluster';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import express from 'express';
import { LimeSite } from 'lime-sdk';

const [port = 0, workers = 2] = process.argv.slice(2).map(Number);
const folder = process.env.SESSIONS_DIR ?? 'sessions';
const token = () => randomBytes(32).toString('base64url');

/** Writes a file of the store if it is not there; whether it was this call that did. */
async function create(name, content) {
  try {
    await writeFile(path.join(folder, encodeURIComponent(name)), JSON.stringify(content), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

async function read(name) {
  try {
    const text = await readFile(path.join(folder, encodeURIComponent(name)), 'utf8');
    return text === '' ? undefined : JSON.parse(text); // it is being written
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function serve() {
  const site = new LimeSite();
  site.on('login', async ({ requestId, passport }) => {
    if (passport === null) {
      await create(`session-${requestId}`, { state: 'expired' });
      return;
    }
    const { agentId } = await site.verifyPassport(passport, { expectedRequestId: requestId });
    const made = await create(`session-${requestId}`, { state: 'signed in', agent_id: agentId, session: token() });
    console.log(`${made ? 'session made' : 'session was there'}\t${requestId}`);
  });
  site.on('error', (error) => console.error(error));

  const app = express();

  // Begins a login. The request's id goes to the agent, the ticket stays with the visitor.
  app.post('/login', async (_request, response) => {
    const { requestId } = await site.createLoginRequest();
    const ticket = token();
    await create(`ticket-${ticket}`, { request_id: requestId });
    response.json({ request_id: requestId, ticket });
  });

  // Where the login stands: 200 with the session, 202 while it is pending, 410 when it has expired.
  app.get('/session', async (request, response) => {
    const login = await read(`ticket-${request.get('ticket')}`);
    if (!login) return response.status(404).json({ error: 'there is no such login' });
    const session = await read(`session-${login.request_id}`);
    if (!session) return response.status(202).json({ state: 'pending' });
    return response.status(session.state === 'expired' ? 410 : 200).json(session);
  });

  const server = app.listen(port, '127.0.0.1');
  process.once('SIGTERM', async () => {
    server.close();
    server.closeAllConnections();
    // Waits for the handler that is running.
    await site.close();
    cluster.worker.disconnect();
  });
}

if (cluster.isPrimary) {
  await mkdir(folder, { recursive: true });
  let listening = 0;
  cluster.on('listening', (_worker, address) => {
    listening += 1;
    if (listening === workers) console.log(`listening\thttp://127.0.0.1:${address.port}`);
  });
  for (let number = 0; number < workers; number += 1) cluster.fork();
  process.once('SIGTERM', () => {
    for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGTERM');
  });
} else {
  await serve();
}
