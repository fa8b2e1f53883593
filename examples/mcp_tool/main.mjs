// An agent calls a tool of an MCP server, which verifies its token.
//
// Reads LIME_API_BASE, LIME_AGENT_TOKEN and MCP_SERVER_URL; prints each step and its milliseconds.

import assert from 'node:assert/strict';
import { LimeAgent } from 'lime-sdk';

const server = process.env.MCP_SERVER_URL;
const agent = new LimeAgent();
const profile = await agent.getProfile();
let last = performance.now();

/** Prints `name<TAB>milliseconds`. */
function done(step) {
  const now = performance.now();
  console.log(`${step}\t${(now - last).toFixed(1)}`);
  last = now;
}

try {
  // Only for programs that do something else with it: the calls below get it by themselves.
  const { tokenType } = await agent.getMcpAccessToken(server);
  assert.equal(tokenType, 'Bearer');
  done('token issued');

  const tools = await agent.listTools(server);
  assert(tools.some(({ name }) => name === 'who'));
  done('tools listed');

  const result = await agent.callTool(server, 'who', { greeting: 'hello' });
  assert(!result.isError);
  // What the server read in the token that it verified.
  assert.equal(result.content[0].text, `hello ${profile.agentId}`);
  done('tool called');
} finally {
  await agent.close();
}
