// What a program's compiler makes of the package. Nothing here runs: tsc checks it, in the strictest form.

import express from 'express';
import fastify from 'fastify';
import {
  AbortError,
  type AgentProfile,
  type Approval,
  ApprovalDeniedError,
  type ApprovalResult,
  type BindingRequest,
  type ErrorKind,
  LimeAgent,
  LimeError,
  LimeSite,
  type LoginEvent,
  type LoginRequest,
  type McpAccessToken,
  type McpTool,
  type McpToolResult,
  type Passport,
  ReplayGuard,
  requireApproval,
  Sesame,
  type StreamStatus,
  signWebhook,
  solvePow,
  TokenVerifier,
  type VerifiedToken,
  verifyAccessToken,
  verifyPassport,
  verifyWebhook,
  type WebhookPayload,
} from 'lime-sdk';
import { requireToken, type TokenRequest, webhook } from 'lime-sdk/express';
import { webhooks } from 'lime-sdk/fastify';
import { EventParser, parseFrame } from 'lime-sdk/protocol';
import { LimeSandbox } from 'lime-sdk/testing';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** `expect<Date>()(value)`: the value's type is this one, not merely one that fits. */
const expect =
  <Wanted,>() =>
  <Found,>(_: Found, ..._same: Same<Wanted, Found> extends true ? [] : [never]): void => {};

// Clients.
await using site = new LimeSite();
const agent = new LimeAgent({ agentToken: 'at_1', powDigest: 'today', fetch, logger: console });
const sesame = new Sesame({ apiKey: undefined });
// @ts-expect-error a misspelt setting
new LimeSite({ sitetoken: 'st_1' });
// @ts-expect-error no such digest
new LimeAgent({ powDigest: 'md5' });
new LimeSite({ platform: 'today', requireIssuer: false, postRetry: 'auto', jwksForm: 'bare' });
// @ts-expect-error no such platform
new LimeAgent({ platform: 'both' });
// @ts-expect-error milliseconds are a number
new Sesame({ timeout: '30s' });

// Calls.
const { signal } = new AbortController();
const request = await site.createLoginRequest({ signal });
expect<LoginRequest>()(request);
expect<Date>()(request.expiresAt);
expect<string | null>()(
  await site.waitForLogin(request.requestId, { timeout: 1, signal, onProgress: ({ left }) => left + 1 }),
);
expect<Passport>()(await site.verifyPassport('jwt', { expectedRequestId: request.requestId }));
expect<string>()((await site.verifyPassport('jwt')).claims.agent_id);
expect<unknown>()((await site.verifyPassport('jwt')).claims.iss);
expect<ApprovalResult>()(await agent.login('lr_1', { signal, onProgress: ({ stage, expected }) => [stage, expected] }));
expect<AgentProfile>()(await agent.getProfile());
expect<Date | undefined>()((await site.readLoginRequest('lr_1')).expiresAt);
const binding = await site.createBindingRequest({ redirectUri: 'https://shop.example/bind', signal });
expect<BindingRequest>()(binding);
expect<string>()(await site.exchangeBindingCode('bc_1', { signal }));
expect<Passport>()(await site.verifyBindingPassport('jwt', { expectedBindingId: binding.bindingId, signal }));
expect<string | undefined>()((await site.verifyBindingPassport('jwt')).claims.binding_id);
// @ts-expect-error where they come back to is required
await site.createBindingRequest();
// @ts-expect-error the request's id is required
await site.waitForLogin();
// @ts-expect-error results cannot be changed
request.requestId = 'lr_2';

// MCP servers.
expect<McpAccessToken>()(await agent.getMcpAccessToken('tools.example.com', { forceRefresh: true, signal }));
for (const tool of await agent.listTools('tools.example.com', { signal })) expect<McpTool>()(tool);
const said = await agent.callTool('tools.example.com', 'echo', { text: 'hi' }, { signal });
expect<McpToolResult>()(said);
for (const piece of said.content) if (piece.type === 'text') expect<string>()(piece.text);
expect<void>()(await agent.setLoggingLevel('tools.example.com', 'warning'));
expect<{ a: 1 }>()(await (await agent.mcpSession('tools.example.com')).request<{ a: 1 }>('a/b'));
// @ts-expect-error no such level
await agent.setLoggingLevel('tools.example.com', 'loud');
// @ts-expect-error which tool
await agent.callTool('tools.example.com');

// Events.
site
  .on('login', async (event) => expect<LoginEvent>()(event))
  .once('state', (status) => expect<StreamStatus>()(status))
  .on('error', (error, event) => {
    expect<unknown>()(error);
    expect<LoginEvent | undefined>()(event);
  })
  .unref();
// @ts-expect-error no such event
site.on('logout', () => {});
// @ts-expect-error a handler of login gets one object
site.on('login', (requestId: string, passport: string) => {});
for await (const { requestId, passport } of site.events({ signal })) {
  expect<string>()(requestId);
  expect<string | null>()(passport);
}
expect<'idle' | 'connecting' | 'open' | 'backing_off' | 'refused' | 'closed' | 'unknown'>()(site.streamStatus.state);

// Approvals.
const approval = await sesame.approvals.trigger({ action: 'a', summary: 's', context: { rows: 3 } }, { signal });
expect<Approval>()(approval);
expect<boolean>()((await approval.wait({ timeout: Number.POSITIVE_INFINITY })).approved);
expect<string | undefined>()(approval.note);
// @ts-expect-error the summary is required
await sesame.approvals.trigger({ action: 'a' });
// @ts-expect-error it is read-only
approval.status = 'approved';

// Gates keep the arguments and the result of what they gate.
const refund = requireApproval(
  'payments.refund',
  {
    summary: (amount, customer) => {
      expect<number>()(amount);
      expect<string>()(customer);
      return `${amount} ${customer}`;
    },
    when: (amount) => amount > 1000,
    dedupKey: async (_amount, customer) => customer,
    bind: (amount) => amount,
    context: 'auto',
    client: sesame,
    signal,
  },
  async (amount: number, customer: string) => ({ amount, customer }),
);
expect<(this: unknown, amount: number, customer: string) => Promise<{ amount: number; customer: string }>>()(refund);
expect<Promise<number>>()(requireApproval('a', (value: number) => value)(1));
expect<AsyncGenerator<number, string, boolean>>()(
  requireApproval('a', function* (): Generator<number, string, boolean> {
    return (yield 1) ? 'a' : 'b';
  })(),
);
// @ts-expect-error the arguments are those of the function
refund('4200', 'cus_123');
// @ts-expect-error when is true or false
requireApproval('a', { when: 'yes' }, () => 1);
// @ts-expect-error no such setting
requireApproval('a', { timeOut: 5 }, () => 1);
// @ts-expect-error the settings stand before the function
requireApproval('a', () => 1, { timeout: 5 });
class Account {
  @requireApproval('a.withdraw', { summary: (amount: number) => `${amount}` })
  async withdraw(amount: number): Promise<string> {
    return `${amount}`;
  }
}
expect<Promise<string>>()(new Account().withdraw(1));

// Errors.
try {
  await refund(1, '');
} catch (error) {
  if (error instanceof ApprovalDeniedError) expect<string | undefined>()(error.note);
  else if (error instanceof AbortError) expect<unknown>()(error.cause);
  else if (error instanceof LimeError) {
    expect<ErrorKind>()(error.kind);
    expect<string>()(error.code);
    expect<number | undefined>()(error.httpStatus);
    expect<number | undefined>()(error.retryAfter);
    // A switch over the kinds is checked.
    // @ts-expect-error no such kind
    if (error.kind === 'nonsense') throw error;
  }
}

// Functions.
expect<string>()(await solvePow('challenge', 8, { digest: 'seed', threads: 2, signal }));
expect<Passport>()(verifyPassport('jwt', { jwks: { keys: [] }, now: new Date() }));
// @ts-expect-error the keys are required
verifyPassport('jwt', {});
const replayGuard = new ReplayGuard({ horizon: 1000 });
expect<WebhookPayload>()(
  verifyWebhook(new Headers(), Buffer.from(''), ['a', Buffer.from('b')], { replayGuard, now: 5 }),
);
// @ts-expect-error a parsed body cannot be verified
verifyWebhook({}, { approval_id: 'ap_1' }, 'secret');
expect<{ 'X-Sesame-Signature': string; 'X-Sesame-Timestamp': string }>()(signWebhook('', 's', { timestamp: 5n }));
const frame = parseFrame('{}');
if (frame.kind === 'approved') expect<string>()(frame.passport);
expect<number | undefined>()(new EventParser().retryMillis);

// Frameworks, with their own types.
express().post('/hook', webhook({ secret: 's', replayGuard }), (request, response) => {
  response.json(request.body);
});
await using verifier = new TokenVerifier({ expectedDomain: 'tools.example.com', leeway: 0, fetch });
expect<VerifiedToken>()(await verifier.verify('jwt', { signal }));
expect<VerifiedToken>()(verifyAccessToken('jwt', { jwks: { keys: [] }, expectedDomain: 'tools.example.com' }));
express().use('/mcp', requireToken({ verifier }), (request: TokenRequest, response) => {
  response.end(request.limeToken?.agentId);
});
// @ts-expect-error there has to be a verifier
requireToken({});
const app = fastify();
await app.register(webhooks, {
  url: '/hook',
  secret: ['a', 'b'],
  handler: async ({ body }, reply) => {
    expect<WebhookPayload>()(body);
    return reply.code(202).send({});
  },
});
// @ts-expect-error there has to be a handler
await app.register(webhooks, { url: '/hook', secret: 's' });
webhook({ secret: 's', onRefused: async ({ reason }) => expect<string>()(reason.toString()) });

// Tests.
await using sandbox = await LimeSandbox.start({ difficulty: 8, requestTtl: 1000 });
await using _rule = await sandbox.autoApprove('payments.*', { note: 'fine' });
await sandbox.expire(request);
await sandbox.decide(approval, 'denied');
expect<LimeSite>()(sandbox.site({ eventQueueLimit: 3 }));
const restore: () => void = sandbox.useEnvironment();
restore();
