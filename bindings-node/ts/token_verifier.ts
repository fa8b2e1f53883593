/** Verifies the access tokens that agents show to an MCP server. */

import { types } from 'node:util';
import { checkNotAborted } from './abort.js';
import { bridge } from './bridge.js';
import {
  type ClientOptions,
  Link,
  number,
  ownEnvironment,
  type RequestOptions,
  settings,
  text,
  tlsPins,
} from './client.js';
import { InvalidArgumentError } from './errors.js';
import { type NativeTokenVerifier, native } from './native.js';
import { guarded } from './raw_errors.js';

/** The claims of an access token. */
export interface AccessTokenClaims {
  /** The agent. */
  readonly sub: string;
  /** The host name that it is for. */
  readonly domain: string;
  /** The platform. */
  readonly iss: string;
  /** Whom it is for, `mcp`. */
  readonly aud: string | readonly string[];
  /** When it ends, in seconds. */
  readonly exp: number;
  readonly [claim: string]: unknown;
}

/** An access token that was verified. */
export interface VerifiedToken {
  /** The agent that shows it. */
  readonly agentId: string;
  /** The host name that it is for. */
  readonly domain: string;
  /** All claims. */
  readonly claims: AccessTokenClaims;
}

/** Settings of a {@link TokenVerifier}. */
export interface TokenVerifierOptions extends Omit<ClientOptions, 'maxRetries'> {
  /** The host name that the server is reached by; else `LIME_EXPECTED_DOMAIN`. A URL will do, a port will not. */
  expectedDomain?: string | undefined;
  /** The platform's origin, without `/api/v1`; else `LIME_BASE_URL`, else `https://lime.pics`. */
  baseUrl?: string | undefined;
  /** Whom tokens must be for; else `LIME_OAUTH_AUDIENCE`, else `mcp`. */
  audience?: string | undefined;
  /** Milliseconds that clocks may be apart; else `LIME_JWT_VERIFY_LEEWAY_SECONDS`, else two minutes. */
  leeway?: number | undefined;
  /** Milliseconds that signing keys are used; else `LIME_JWKS_CACHE_TTL_SECONDS`, else an hour. A day at most. */
  jwksCacheTtl?: number | undefined;
  /**
   * The least milliseconds between two fetches that a token with an unknown key, or a warm-up, can cause; else
   * `LIME_JWKS_MIN_REFRESH_SECONDS`, else a minute.
   */
  minRefresh?: number | undefined;
  /** Sent when keys are fetched; else `LIME_VERIFY_USER_AGENT`, else what the HTTP client calls itself. */
  userAgent?: string | undefined;
}

const SETTINGS = {
  expectedDomain: 'string',
  baseUrl: 'string',
  audience: 'string',
  leeway: 'number',
  jwksCacheTtl: 'number',
  minRefresh: 'number',
  userAgent: 'string',
  timeout: 'number',
} as const;

/**
 * Verifies the access tokens that agents show to one MCP server. Make one per host name and process (or worker). Once the
 * platform's keys are there, a token takes some tens of microseconds and no turn of the event loop's I/O.
 *
 * @example
 * ```js
 * const verifier = new TokenVerifier({ expectedDomain: 'tools.example.com' });
 * const { agentId } = await verifier.verify(token); // the JWT alone, without "Bearer"
 * ```
 */
export class TokenVerifier {
  readonly #link: Link;
  readonly #native: NativeTokenVerifier;

  /**
   * Makes the verifier. Starts nothing and sends nothing: the first token fetches the platform's keys, or {@link warmUp}.
   *
   * @throws InvalidArgumentError No host name is given, it is none, or another setting makes no sense.
   */
  constructor(options: TokenVerifierOptions = {}) {
    const link = new Link(options);
    const given = {
      ...settings(options, SETTINGS),
      tlsPins: tlsPins(options),
      environment: ownEnvironment(),
      logLevel: link.logLevel,
    };
    this.#native = guarded(() => new (native().TokenVerifier)(bridge().queue, link.number, given, link.transport));
    this.#link = link;
    link.owner = this;
  }

  /** The host name that tokens must be for, in canonical form. */
  get expectedDomain(): string {
    return this.#native.expectedDomain;
  }

  /** How many fetches have brought keys. */
  get fetches(): number {
    return this.#native.fetches;
  }

  /**
   * Verifies a token: the JWT alone, without `Bearer`. Fetches the platform's keys where they are not at hand.
   *
   * @throws InvalidTokenError It must not be trusted; `reason` says why.
   * @throws LimeError The keys could not be had, which says nothing of the token.
   */
  async verify(token: string, options: RequestOptions = {}): Promise<VerifiedToken> {
    text('token', token);
    const { signal } = options;
    checkNotAborted(signal);
    const cached = guarded(() => this.#native.verifyCached(token));
    if (cached !== null) return verified(JSON.parse(cached) as AccessTokenClaims);
    return verified(await this.#link.call<AccessTokenClaims>((call) => this.#native.verify(call, token), { signal }));
  }

  /**
   * Fetches the platform's keys ahead of the first token, unless that was done less than `minRefresh` ago.
   *
   * @throws LimeError They cannot be had; those that are held stay.
   */
  async warmUp(options: RequestOptions = {}): Promise<void> {
    await this.#link.call<null>((call) => this.#native.warmUp(call), { signal: options.signal });
  }

  /** Forgets the platform's keys; the next token fetches them. */
  forgetKeys(): void {
    this.#native.forgetKeys();
  }

  /** Refuses further calls; those under way go on. Closing twice does nothing. */
  async close(): Promise<void> {
    this.#native.close();
  }

  /** For `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function verified(claims: AccessTokenClaims): VerifiedToken {
  return { agentId: claims.sub, domain: claims.domain, claims };
}

/** Settings of {@link verifyAccessToken}. */
export interface VerifyAccessTokenOptions {
  /** The platform's key document, as served or parsed: `{ keys: […] }`, or the same in an envelope. */
  jwks: string | Uint8Array | Readonly<Record<string, unknown>>;
  /** What `iss` must be, letter by letter. Default `https://lime.pics`. */
  issuer?: string | undefined;
  /** The host name that it must be for, in canonical form, see {@link normalizeMcpDomain}. */
  expectedDomain: string;
  /** Whom it must be for. Default `mcp`. */
  audience?: string | undefined;
  /** Milliseconds that clocks may be apart. Default two minutes. */
  leeway?: number | undefined;
  /** The time, as a `Date` or in milliseconds; the machine's if left out. */
  now?: Date | number | undefined;
}

/**
 * Verifies an access token with keys that are at hand, for programs that do their own I/O. Needs no verifier, sends nothing.
 * A {@link TokenVerifier} fetches and keeps the keys by itself.
 *
 * @throws InvalidTokenError It must not be trusted; `reason` says why.
 * @throws InvalidPassportError `jwks` is no key document.
 */
export function verifyAccessToken(token: string, options: VerifyAccessTokenOptions): VerifiedToken {
  const { jwks, issuer = 'https://lime.pics', expectedDomain, audience = 'mcp', leeway = 120_000, now } = options;
  for (const [name, value] of Object.entries({ token, issuer, expectedDomain, audience })) text(name, value);
  number('leeway', leeway);
  const moment = Number(now ?? Date.now());
  if (!Number.isFinite(moment)) throw new InvalidArgumentError('now must be a time');
  const written = typeof jwks === 'string' || types.isUint8Array(jwks) ? jwks : JSON.stringify(jwks);
  const document = typeof written === 'string' ? Buffer.from(written) : written;
  const claims = guarded(() =>
    native().verifyAccessToken(token, document, issuer, expectedDomain, audience, leeway, Math.max(0, moment)),
  );
  return verified(JSON.parse(claims) as AccessTokenClaims);
}

/**
 * The canonical form of a host name, as tokens have it: in lower case, without scheme and path.
 *
 * @throws InvalidArgumentError It has a user name or a port, or it is an address, a reserved name or no DNS name at all.
 */
export function normalizeMcpDomain(domain: string): string {
  text('domain', domain);
  return guarded(() => native().normalizeMcpDomain(domain));
}
