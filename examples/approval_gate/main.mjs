// A refund that a human approves before it runs.
//
// Reads SESAME_API_KEY and SESAME_BROKER_URL; prints each step and its milliseconds. Arguments: the action
// (default payments.refund), and a URL that the broker reports the decision to. Ends with 0 when the refund
// ran and with 3 when it was denied.

import { ApprovalDeniedError, requireApproval } from 'lime-sdk';

const [action = 'payments.refund', callbackUrl] = process.argv.slice(2);

let last = performance.now();

/** Prints `name<TAB>milliseconds`. */
function done(step) {
  const now = performance.now();
  console.log(`${step}\t${(now - last).toFixed(1)}`);
  last = now;
}

const issueRefund = requireApproval(
  action,
  {
    summary: (amount) => `Refund $${(amount / 100).toFixed(2)} to customer`,
    reason: 'The customer was charged twice',
    severity: 'high',
    context: 'auto',
    callbackUrl,
    timeout: 60_000,
  },
  // The human sees the arguments by these names.
  async (amount, customer_id) => {
    done('approval granted');
    // Here the money moves.
    done('operation run');
    return { amount, customer_id };
  },
);

try {
  await issueRefund(4200, 'cus_123');
} catch (error) {
  if (!(error instanceof ApprovalDeniedError)) throw error;
  done('approval denied');
  process.exitCode = 3;
}
