/** `lime-sdk/express`: webhooks and access tokens for Express, Connect, Polka, or plain `node:http`. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { isThenable } from './client.js';
import { InvalidArgumentError, type WebhookVerificationError } from './errors.js';
import { native } from './native.js';
import {
  rawBody,
  type VerifyWebhookOptions,
  verifyWebhook,
  type WebhookPayload,
  type WebhookSecret,
} from './webhook.js';

export { type RequireTokenOptions, requireToken, type TokenMiddleware, type TokenRequest } from './token_express.js';

/** A request, as Express and its like have it. */
export interface WebhookRequest extends IncomingMessage {
  /** Before: nothing, or the raw bytes. After: what the webhook says. */
  body?: unknown;
  /** The raw bytes, of which the signature is. Some platforms that parse bodies by themselves put them here. */
  rawBody?: Uint8Array | string;
}

/** Settings of {@link webhook}. */
export interface WebhookMiddlewareOptions extends VerifyWebhookOptions {
  /** The webhook secret, or several while one replaces another. */
  secret: WebhookSecret | readonly WebhookSecret[];
  /** The most bytes that a body may have. Default 1 MiB. */
  limit?: number | undefined;
  /**
   * Told what is refused, and why. The sender is told no more than 400, or 204 for `replayed`, which was taken already –
   * when the promise has settled, if it is async. What it throws, or rejects with, is an error for `next`.
   */
  onRefused?: ((error: WebhookVerificationError, request: WebhookRequest) => unknown) | undefined;
}

/** What the middleware is. */
export type WebhookMiddleware = (
  request: WebhookRequest,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

const LIMIT = 1 << 20;

/**
 * Middleware that lets signed webhooks through and answers 400 to everything else, 204 to what the `replayGuard` has seen.
 * It reads the raw body itself; behind it `request.body` is the payload, and `request.rawBody` the bytes.
 *
 * Put it before `express.json()`, or on a path that no body parser handles: a body that was parsed cannot be verified,
 * and is an error for `next` that says so. With a `replayGuard`, a delivery that is then answered with 500 or more, or not
 * at all, may be sent once more.
 *
 * @example
 * ```js
 * app.post('/sesame/webhook', webhook({ secret: process.env.SESAME_WEBHOOK_SECRET }), (request, response) => {
 *   console.log(request.body.approval_id, request.body.status);
 *   response.sendStatus(204);
 * });
 * ```
 */
export function webhook(options: WebhookMiddlewareOptions): WebhookMiddleware {
  const { secret, limit = LIMIT, onRefused, ...rest } = options;
  if (secret === undefined) throw new InvalidArgumentError('secret is required');
  native(); // one that is not there is found out when the server starts
  return (request, response, next) => {
    const refuse = (error: WebhookVerificationError): void => {
      const tell = (): void => {
        // The broker repeats what it had no answer to: it was taken already.
        if (error.reason === 'replayed') response.writeHead(204).end();
        else answer(response, 400, 'the webhook is refused');
      };
      let told: unknown;
      try {
        told = onRefused?.(error, request);
      } catch (fault) {
        next(fault);
        return;
      }
      if (isThenable(told)) Promise.resolve(told).then(tell, next);
      else tell();
    };

    const verify = (body: unknown): void => {
      let raw: Uint8Array;
      let payload: WebhookPayload;
      try {
        raw = rawBody(body); // outside of what the sender is to blame for
      } catch (error) {
        next(error);
        return;
      }
      try {
        payload = verifyWebhook(request.headers, raw, secret, rest);
      } catch (error) {
        refuse(error as WebhookVerificationError);
        return;
      }
      if (rest.replayGuard) {
        const guard = rest.replayGuard;
        response.once('close', () => {
          if (!response.writableFinished || response.statusCode >= 500) guard.forget(raw);
        });
      }
      request.rawBody = raw;
      request.body = payload;
      next();
    };

    const given = request.rawBody ?? (isEmptyObject(request.body) ? undefined : request.body);
    if (given !== undefined) {
      verify(given);
    } else if (request.readableEnded) {
      verify(request.body ?? null);
    } else {
      read(request, limit, (error, body) => {
        if (error === 'too large') answer(response, 413, 'the body is too large');
        else if (error) next(error);
        else verify(body);
      });
    }
  };
}

/** What Express 4 has where nothing has been parsed. */
function isEmptyObject(body: unknown): boolean {
  return typeof body === 'object' && body !== null && !ArrayBuffer.isView(body) && Object.keys(body).length === 0;
}

function read(
  request: IncomingMessage,
  limit: number,
  done: (error: Error | 'too large' | undefined, body?: Uint8Array) => void,
): void {
  const chunks: Uint8Array[] = [];
  let length = 0;
  let ended = false;
  const end = (error: Error | 'too large' | undefined): void => {
    if (ended) return;
    ended = true;
    done(error, Buffer.concat(chunks));
  };
  request.on('data', (chunk: Uint8Array) => {
    length += chunk.length;
    if (length > limit) end('too large');
    else chunks.push(chunk);
  });
  request.on('end', () => end(undefined));
  request.on('error', (error) => end(error));
  request.on('close', () => end(new Error('The sender has gone')));
}

function answer(response: ServerResponse, status: number, error: string): void {
  response.statusCode = status;
  response.setHeader('content-type', 'application/json; charset=utf-8');
  if (status === 413) response.setHeader('connection', 'close');
  response.end(JSON.stringify({ error }));
}
