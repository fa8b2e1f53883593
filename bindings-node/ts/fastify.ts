/** `lime-sdk/fastify`: webhooks for Fastify. */

import type { ServerResponse } from 'node:http';
import { InvalidArgumentError, type WebhookVerificationError } from './errors.js';
import { native } from './native.js';
import {
  type VerifyWebhookOptions,
  verifyWebhook,
  type WebhookHeaders,
  type WebhookPayload,
  type WebhookSecret,
} from './webhook.js';

/** What the plugin needs of a Fastify instance. */
export interface FastifyLike {
  /** Of this plugin's own context. */
  removeAllContentTypeParsers(): unknown;
  /** For the raw body. */
  addContentTypeParser(
    contentType: string,
    options: { parseAs: 'buffer'; bodyLimit?: number },
    // biome-ignore lint/suspicious/noExplicitAny: Fastify's own types are not needed to use this without it
    parser: (request: any, body: any, done: (error: Error | null, body?: unknown) => void) => void,
  ): unknown;
  /** For the route. */
  // biome-ignore lint/suspicious/noExplicitAny: see above
  post(url: string, options: any): unknown;
}

/** What the handler gets of a request. A `FastifyRequest` is one, with the payload as its body. */
export interface WebhookRequest {
  /** The request's headers. */
  readonly headers: WebhookHeaders;
  /** What the webhook says. */
  body: WebhookPayload;
}

/** What the handler gets of a reply. A `FastifyReply` is one. */
export interface WebhookReply {
  /** Sets the HTTP status. */
  code(status: number): WebhookReply;
  /** Sends the answer. */
  send(payload?: unknown): unknown;
}

/** Settings of {@link webhooks}. */
export interface WebhookPluginOptions extends VerifyWebhookOptions {
  /** The webhook secret, or several while one replaces another. */
  secret: WebhookSecret | readonly WebhookSecret[];
  /** Where the broker sends webhooks to, such as `/sesame/webhook`. */
  url: string;
  /** Called with webhooks that can be trusted; `request.body` is the payload. What it gives is the answer; nothing is 204. */
  handler: (request: WebhookRequest, reply: WebhookReply) => unknown;
  /** The most bytes that a body may have. Default 1 MiB. */
  limit?: number | undefined;
  /**
   * Told what is refused, and why. The sender is told no more than 400, or 204 for `replayed`, which was taken already –
   * when the promise has settled, if it is async. What it throws, or rejects with, is an error of the request.
   */
  onRefused?: ((error: WebhookVerificationError, request: WebhookRequest) => unknown) | undefined;
}

/**
 * A plugin with one route that takes signed webhooks, and answers 400 to everything else, 204 to what the `replayGuard` has
 * seen. It has its own parser for the raw body; those of the rest of the server stay as they are. With a `replayGuard`, a
 * delivery that is then answered with 500 or more, as where the handler throws, or not at all, may be sent once more.
 *
 * @example
 * ```js
 * fastify.register(webhooks, {
 *   url: '/sesame/webhook',
 *   secret: process.env.SESAME_WEBHOOK_SECRET,
 *   handler: async ({ body }) => console.log(body.approval_id, body.status),
 * });
 * ```
 */
export async function webhooks(fastify: FastifyLike, options: WebhookPluginOptions): Promise<void> {
  const { secret, url, handler, limit = 1 << 20, onRefused, ...rest } = options;
  if (secret === undefined) throw new InvalidArgumentError('secret is required');
  if (typeof handler !== 'function') throw new InvalidArgumentError('handler must be a function');
  native(); // one that is not there is found out when the server starts
  const { tolerance, now, replayGuard } = rest;
  // In this plugin's own context: whatever a body is said to be, its bytes are wanted.
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: limit }, (_request, body, done) => {
    done(null, body);
  });
  const handle = async (request: { headers: WebhookHeaders; body: unknown }, reply: WebhookReply): Promise<unknown> => {
    const raw = (request.body ?? new Uint8Array()) as Uint8Array;
    const trusted = request as WebhookRequest;
    try {
      trusted.body = verifyWebhook(request.headers, raw, secret, { tolerance, now, replayGuard });
    } catch (error) {
      await onRefused?.(error as WebhookVerificationError, trusted);
      // The broker repeats what it had no answer to: it was taken already.
      if ((error as WebhookVerificationError).reason === 'replayed') return reply.code(204).send();
      return reply.code(400).send({ error: 'the webhook is refused' });
    }
    const response = (reply as { raw?: ServerResponse }).raw;
    if (replayGuard && response) {
      response.once('close', () => {
        if (!response.writableFinished || response.statusCode >= 500) replayGuard.forget(raw);
      });
    }
    const answer: unknown = await handler(trusted, reply);
    return answer === undefined && !(reply as { sent?: boolean }).sent ? reply.code(204).send() : answer;
  };
  fastify.post(url, { handler: handle });
}
