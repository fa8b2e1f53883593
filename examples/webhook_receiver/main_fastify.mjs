// Receives the broker's webhooks with Fastify.
//
// Reads SESAME_WEBHOOK_SECRET; prints its address, then a line for each delivery.

import fastify from 'fastify';
import { ReplayGuard } from 'lime-sdk';
import { webhooks } from 'lime-sdk/fastify';

const app = fastify();

app.register(webhooks, {
  url: '/sesame/webhook',
  secret: process.env.SESAME_WEBHOOK_SECRET,
  // The timestamp of a webhook is not signed: without a guard, whoever has seen one could send it again.
  replayGuard: new ReplayGuard(),
  onRefused: ({ reason }) => console.log(reason === 'replayed' ? 'webhook repeated' : `webhook refused\t${reason}`),
  handler: async ({ body }) => {
    console.log(`webhook verified\t${body.approval_id} ${body.status}`);
  },
});

console.log(`listening\t${await app.listen({ port: 0, host: '127.0.0.1' })}/sesame/webhook`);
process.once('SIGTERM', () => app.close());
