// Tokens for MCP servers, and calls of one: the official Python SDK's, which verifies them with the sandbox's keys.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { inspect } from 'node:util';
import * as lime from 'lime-sdk';
import { closing, ROOT, runFile, sandboxFor } from './help.mjs';

const HOST = 'tools.example.com';

/** A server that ends with the test; the environment says where its name is. */
async function serverFor(t) {
  const args = [path.join(ROOT, 'tests/mcp_server.py'), HOST];
  const child = spawn(path.join(ROOT, '.venv/bin/python'), args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const [port] = await once(createInterface(child.stdout), 'line');
  const door = `http://127.0.0.1:${port}/_test`;
  t.after(async () => {
    child.stdin.end();
    await once(child, 'close');
  });
  return {
    url: `http://${HOST}:${port}/mcp`,
    asked: async () => (await fetch(door)).json(),
    methods: async () => (await (await fetch(door)).json()).map(({ rpc }) => rpc).filter(Boolean),
    tell: (wish) => fetch(door, { method: 'POST', body: JSON.stringify(wish) }),
  };
}

const addresses = { [HOST]: '127.0.0.1' };

async function bothFor(t, options = {}) {
  const sandbox = await sandboxFor(t);
  const server = await serverFor(t);
  return { sandbox, server, agent: closing(t, new lime.LimeAgent({ mcpAddresses: addresses, ...options })) };
}

test('a token is kept for its host name, and not shown', async (t) => {
  const sandbox = await sandboxFor(t);
  const agent = closing(t, new lime.LimeAgent());
  const first = await agent.getMcpAccessToken('https://Tools.example.com:8443/mcp');
  assert.equal(first.tokenType, 'Bearer');
  assert.equal(first.expiresIn, 300);
  assert(Math.abs(Date.now() - first.issuedAt.getTime()) < 60_000);
  assert.deepEqual(await agent.getMcpAccessToken(HOST), first);
  const forced = await agent.getMcpAccessToken(HOST, { forceRefresh: true });
  assert.notEqual(forced.accessToken, first.accessToken);
  const many = await Promise.all(Array.from({ length: 100 }, () => agent.getMcpAccessToken('other.example.com')));
  assert.equal(new Set(many.map(({ accessToken }) => accessToken)).size, 1);
  assert.equal((await sandbox.received('mcp_token')).length, 3);
  assert(!inspect(first).includes(first.accessToken) && inspect(first).includes('***'));
  assert.equal({ ...first }.accessToken, first.accessToken);
  for (const target of ['', '127.1', 'http://localhost:8000/mcp', 'https://user@tools.example.com']) {
    await assert.rejects(agent.getMcpAccessToken(target), lime.InvalidArgumentError);
    await assert.rejects(agent.listTools(target), lime.InvalidArgumentError);
  }
  await assert.rejects(agent.getMcpAccessToken(undefined), lime.InvalidArgumentError);
  const { agentId } = await agent.getProfile();
  await sandbox.control('POST', `/agents/${agentId}/revoke-mcp`);
  await assert.rejects(agent.getMcpAccessToken('third.example.com'), (error) => {
    assert(error instanceof lime.OAuthCapabilityError && error instanceof lime.ApiError);
    assert.deepEqual([error.code, error.httpStatus, error.kind], ['access_denied', 403, 'oauth_capability']);
    return true;
  });
});

test('every call', async (t) => {
  const { agent, server } = await bothFor(t);
  const { url } = server;
  const { agentId } = await agent.getProfile();
  const tools = await agent.listTools(url);
  const echo = tools.find(({ name }) => name === 'echo');
  assert.equal(echo.description, 'Gives the text back');
  assert.equal(echo.inputSchema.properties.text.type, 'string');
  const who = await agent.callTool(url, 'who', { greeting: 'hello' });
  assert.deepEqual([who.content[0].text, who.isError], [`hello ${agentId}`, false]);
  assert.deepEqual((await agent.callTool(url, 'add', { a: 1, b: 2 })).structuredContent, { sum: 3 });
  const failed = await agent.callTool(url, 'fail');
  assert(failed.isError && failed.content[0].text.includes('it went wrong'));
  assert.deepEqual(
    (await agent.listResources(url)).map(({ uri }) => uri),
    ['note://today'],
  );
  assert.deepEqual(
    (await agent.listResourceTemplates(url)).map(({ uriTemplate }) => uriTemplate),
    ['note://{name}'],
  );
  assert.equal((await agent.readResource(url, 'note://mine')).contents[0].text, 'the note mine');
  assert.equal((await agent.listPrompts(url))[0].arguments[0].name, 'name');
  assert.equal((await agent.getPrompt(url, 'greet', { name: 'Ada' })).messages[0].content.text, 'Greet Ada');
  assert((await agent.getServerCapabilities(url)).tools);
  assert.equal(await agent.sendPing(url), undefined);
  assert.equal(await agent.setLoggingLevel(url, 'warning'), undefined);
  assert.equal(await agent.sendProgressNotification(url, 'token', 0.5, 1), undefined);
  const session = await agent.mcpSession(url);
  assert(session.serverCapabilities.tools);
  assert.equal((await session.request('prompts/list')).prompts[0].name, 'greet');
  await session.notify('roots/list_changed');
  await session.notify('notifications/roots/list_changed');
  await assert.rejects(session.request('no/such'), lime.McpError);
  assert.equal((await server.methods()).filter((method) => method === 'initialize').length, 1);
  assert((await server.asked()).every(({ headers }) => !headers.includes('x-agent-token')));
});

test('what a server refuses', async (t) => {
  const { agent, server } = await bothFor(t);
  await assert.rejects(agent.readResource(server.url, 'none://there'), (error) => {
    assert(error instanceof lime.McpError);
    assert(error.message.includes('Unknown resource') && String(error.detail.code) === error.code);
    return true;
  });
  await server.tell({ refuse: 1 });
  await agent.sendPing(server.url);
  await server.tell({ refuse: 2 });
  await assert.rejects(agent.sendPing(server.url), (error) => {
    assert(error instanceof lime.McpAuthenticationError);
    assert.deepEqual([error.code, error.httpStatus], ['MCP_AUTH_FAILED', 401]);
    return true;
  });
  await server.tell({ forget: true });
  await agent.sendPing(server.url);
  const loop = {};
  loop.loop = loop;
  for (const wrong of [{ text: Number.NaN }, { text: 1n }, loop]) {
    await assert.rejects(agent.callTool(server.url, 'echo', wrong), lime.InvalidArgumentError);
  }
  for (const wrong of [{ mcpAddresses: { [HOST]: 'localhost' } }, { mcpAddresses: { localhost: '127.0.0.1' } }]) {
    assert.throws(() => new lime.LimeAgent(wrong), lime.InvalidArgumentError);
  }
});

test('a call that is aborted is cancelled at the server', async (t) => {
  const { agent, server } = await bothFor(t);
  const abort = new AbortController();
  const call = agent.callTool(server.url, 'forever', {}, { signal: abort.signal });
  while (!(await server.methods()).includes('tools/call'));
  abort.abort();
  await assert.rejects(call, lime.AbortError);
  while (!(await server.methods()).includes('notifications/cancelled'));
  await agent.sendPing(server.url);
});

for (const serializeMcpPerUrl of [true, false]) {
  test(`many at once, ${serializeMcpPerUrl ? 'one after the other' : 'at once'}`, async (t) => {
    const { agent, server } = await bothFor(t, { serializeMcpPerUrl });
    const texts = Array.from({ length: 50 }, (_, number) => `${number}`);
    const results = await Promise.all(texts.map((text) => agent.callTool(server.url, 'echo', { text })));
    assert.deepEqual(
      results.map(({ content }) => content[0].text),
      texts,
    );
  });
}

test('a fetch of the program carries every byte', async (t) => {
  const seen = [];
  const carrying = (url, init) => {
    seen.push(`${init.method} ${new URL(url).pathname}`);
    // A name that only this program knows: what fetch may not be told is in a header.
    const host = new URL(url).host;
    if (!host.startsWith(HOST)) return fetch(url, init);
    return fetch(url.replace(HOST, '127.0.0.1'), init);
  };
  const { agent, server } = await bothFor(t, { fetch: carrying });
  assert.equal((await agent.callTool(server.url, 'echo', { text: 'carried' })).content[0].text, 'carried');
  assert.deepEqual(seen, ['POST /api/v1/modules/oauth/token', 'POST /mcp', 'POST /mcp', 'POST /mcp']);
});

test('the example', async (t) => {
  const { server } = await bothFor(t);
  const environment = { MCP_SERVER_URL: server.url, LIME_MCP_ADDRESSES: `${HOST}=127.0.0.1` };
  const [code, out, err] = await runFile('examples/mcp_tool/main.mjs', { environment });
  assert.deepEqual([code, err], [0, '']);
  assert.deepEqual(
    out
      .trim()
      .split('\n')
      .map((line) => line.split('\t')[0]),
    ['token issued', 'tools listed', 'tool called'],
  );
});
