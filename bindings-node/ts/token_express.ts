/** Middleware that wants an access token: a part of `lime-sdk/express`. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { InternalError, LimeError } from './errors.js';
import { native } from './native.js';
import { guarded } from './raw_errors.js';
import type { TokenVerifier, VerifiedToken } from './token_verifier.js';

/** A request, as Express and its like have it. */
export interface TokenRequest extends IncomingMessage {
  /** Behind the middleware: who asks. */
  limeToken?: VerifiedToken | undefined;
}

/** Settings of {@link requireToken}. */
export interface RequireTokenOptions {
  /** Verifies the tokens; it stays yours to close. */
  verifier: TokenVerifier;
  /**
   * URL of the server's own metadata (RFC 9728), which the answer to a request without a token names, so that MCP clients
   * learn whom to ask for one.
   */
  resourceMetadata?: string | undefined;
  /** Told what is refused, and why; the caller is told no more than that. */
  onRefused?: ((error: LimeError, request: TokenRequest) => void) | undefined;
}

/** What the middleware is. */
export type TokenMiddleware = (
  request: TokenRequest,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * Middleware that lets a request through only with an access token for this server; behind it `request.limeToken` says whose
 * it is. Others are answered with 401, or 503 while the platform's keys cannot be had.
 *
 * @example
 * ```js
 * const verifier = new TokenVerifier({ expectedDomain: 'tools.example.com' });
 * app.use('/mcp', requireToken({ verifier }));
 * app.post('/mcp', (request, response) => response.send(`hello ${request.limeToken.agentId}`));
 * ```
 */
export function requireToken(options: RequireTokenOptions): TokenMiddleware {
  const { verifier, resourceMetadata, onRefused } = options;
  return (request, response, next) => {
    // Only the middleware may say who asks.
    request.limeToken = undefined;
    admit(request, verifier).then(
      (token) => {
        request.limeToken = token;
        next();
      },
      (error: unknown) => {
        if (!(error instanceof LimeError)) {
          next(error);
          return;
        }
        try {
          onRefused?.(error, request);
          refuse(response, error, resourceMetadata);
        } catch (fault) {
          next(fault);
        }
      },
    );
  };
}

async function admit(request: TokenRequest, verifier: TokenVerifier): Promise<VerifiedToken> {
  // Node joins nothing here, unlike in `headers`, where the first of several is taken.
  const values = request.headersDistinct?.authorization ?? [];
  return verifier.verify(guarded(() => native().bearerToken(values)));
}

function refuse(response: ServerResponse, error: LimeError, resourceMetadata: string | undefined): void {
  const { kind, code, message, retryAfter } = error;
  const answer: unknown = JSON.parse(native().tokenRefusal(kind, code, message, retryAfter, resourceMetadata));
  if (!Array.isArray(answer)) throw new InternalError('The native module gave no answer');
  const [status, challenge, seconds, body] = answer as [number, string | null, number | null, string];
  response.statusCode = status;
  response.setHeader('content-type', 'application/json');
  if (challenge !== null) response.setHeader('www-authenticate', challenge);
  if (seconds !== null) response.setHeader('retry-after', String(seconds));
  response.end(body);
}
