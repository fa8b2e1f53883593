// Receives the broker's webhooks with Express.
//
// Reads SESAME_WEBHOOK_SECRET; prints its address, then a line for each delivery.

import express from 'express';
import { ReplayGuard } from 'lime-sdk';
import { webhook } from 'lime-sdk/express';

const app = express();

// It reads the raw body itself: put it before `express.json()`, which would leave it nothing to verify.
const verified = webhook({
  secret: process.env.SESAME_WEBHOOK_SECRET,
  // The timestamp of a webhook is not signed: without a guard, whoever has seen one could send it again.
  replayGuard: new ReplayGuard(),
  onRefused: ({ reason }) => console.log(reason === 'replayed' ? 'webhook repeated' : `webhook refused\t${reason}`),
});

app.post('/sesame/webhook', verified, (request, response) => {
  const { approval_id: approvalId, status } = request.body;
  console.log(`webhook verified\t${approvalId} ${status}`);
  response.sendStatus(204);
});

app.use(express.json());

const server = app.listen(0, '127.0.0.1', () => {
  console.log(`listening\thttp://127.0.0.1:${server.address().port}/sesame/webhook`);
});
process.once('SIGTERM', () => server.close());
