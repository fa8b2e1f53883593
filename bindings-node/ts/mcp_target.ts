/** What a target of an MCP call means. */

import { text } from './client.js';
import { native } from './native.js';
import { guarded } from './raw_errors.js';

/**
 * The host name that tokens for an MCP server are issued and kept for: in lower case, without scheme, port and path. No
 * name is resolved for it.
 *
 * @param target A URL or a host name.
 * @throws InvalidArgumentError It is no public DNS name: a user name, an IP address in any spelling (`127.1`,
 * `2130706433`), `localhost` or another reserved name.
 *
 * @example
 * ```js
 * extractAndNormalizeDomain('https://Tools.Example.com:8443/mcp'); // 'tools.example.com'
 * ```
 */
export function extractAndNormalizeDomain(target: string): string {
  return guarded(() => native().extractAndNormalizeDomain(text('target', target)));
}

/**
 * The address of the MCP server that a target means: of a bare host name `https://…/mcp`, of a URL the URL, without
 * white space around it and slashes at its end.
 *
 * @param target A URL or a host name.
 * @throws InvalidArgumentError As {@link extractAndNormalizeDomain}.
 */
export function resolveMcpHttpUrl(target: string): string {
  return guarded(() => native().resolveMcpHttpUrl(text('target', target)));
}
