/** Passports, with keys that are at hand. */

import { types } from 'node:util';
import { text } from './client.js';
import { InvalidArgumentError } from './errors.js';
import { type Native, native } from './native.js';
import { guarded } from './raw_errors.js';
import type { Passport, PassportClaims } from './site.js';

/** Settings of {@link verifyPassport}. */
export interface VerifyPassportWithKeysOptions {
  /** The platform's key document, as served or parsed: `{ keys: […] }`, or the same in an envelope. */
  jwks: string | Uint8Array | Readonly<Record<string, unknown>>;
  /** The API root that the passport must come from. Default `https://lime.pics/api/v1`. */
  apiRoot?: string | undefined;
  /** The login request that the passport must be for. Always pass it. */
  expectedRequestId?: string | undefined;
  /** Refuse a passport without an `iss` claim. One that is there is checked always. Default false. */
  requireIssuer?: boolean | undefined;
  /** The time, as a `Date` or in milliseconds; the machine's if left out. */
  now?: Date | number | undefined;
}

/** Settings of {@link verifyBindingPassport}. */
export interface VerifyBindingPassportWithKeysOptions extends Omit<VerifyPassportWithKeysOptions, 'expectedRequestId'> {
  /** The binding that the passport must be for. Always pass it. */
  expectedBindingId?: string | undefined;
}

/**
 * Verifies an agent's passport with keys that are at hand, for programs that do their own I/O. Needs no client, sends
 * nothing. `LimeSite.verifyPassport` fetches and keeps the keys by itself.
 *
 * @throws InvalidPassportError It must not be trusted; a `PassportExpiredError` of them: it has expired.
 * @throws BadResponseError `jwks` is no key document.
 */
export function verifyPassport(jwt: string, options: VerifyPassportWithKeysOptions): Passport {
  return verified(native().verifyPassport, jwt, options.expectedRequestId, options);
}

/**
 * Verifies a binding passport with keys that are at hand, as {@link verifyPassport} does a login's.
 *
 * @throws InvalidPassportError It must not be trusted; a `PassportExpiredError` of them: it has expired.
 * @throws BadResponseError `jwks` is no key document.
 */
export function verifyBindingPassport(jwt: string, options: VerifyBindingPassportWithKeysOptions): Passport {
  return verified(native().verifyBindingPassport, jwt, options.expectedBindingId, options);
}

function verified(
  verify: Native['verifyPassport'],
  jwt: string,
  expected: string | undefined,
  options: Omit<VerifyPassportWithKeysOptions, 'expectedRequestId'>,
): Passport {
  text('jwt', jwt);
  const { jwks, apiRoot = native().defaultApiRoot(), requireIssuer = false, now } = options;
  const moment = Number(now ?? Date.now());
  if (!Number.isFinite(moment)) throw new InvalidArgumentError('now must be a time');
  const written = typeof jwks === 'string' || types.isUint8Array(jwks) ? jwks : JSON.stringify(jwks);
  const document = typeof written === 'string' ? Buffer.from(written) : written;
  const claims = guarded(() => verify(jwt, document, apiRoot, expected, requireIssuer, Math.max(0, moment)));
  const parsed = JSON.parse(claims) as PassportClaims;
  return { agentId: parsed.agent_id, claims: parsed };
}
