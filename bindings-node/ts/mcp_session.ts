/** A session with one MCP server, for what the methods of the agent do not offer. */

import type { LimeAgent } from './agent.js';
import type { RequestOptions } from './client.js';
import type { McpServerCapabilities } from './mcp.js';

/** Makes a call of the protocol; the agent's. */
export type McpCaller = <T>(method: string, params: object, whole: boolean, options: RequestOptions) => Promise<T>;

/**
 * The session that an agent keeps with one MCP server: {@link LimeAgent.mcpSession}. The token is attached, and replaced
 * when the server refuses it.
 */
export class McpSession {
  readonly #call: McpCaller;
  /** What the server can do, as it said when the session began. */
  readonly serverCapabilities: McpServerCapabilities;

  /** Made by {@link LimeAgent.mcpSession}. */
  constructor(call: McpCaller, serverCapabilities: McpServerCapabilities) {
    this.#call = call;
    this.serverCapabilities = serverCapabilities;
  }

  /**
   * Any request of the protocol; its result as the server wrote it. Of a list, this is one page.
   *
   * @param method The method, such as `completion/complete`.
   * @param params Its parameters.
   */
  request<T = Record<string, unknown>>(method: string, params: object = {}, options: RequestOptions = {}): Promise<T> {
    return this.#call<T>(method, params, false, options);
  }

  /**
   * Any notification of the protocol.
   *
   * @param method The method; `notifications/` before it may be left out.
   * @param params Its parameters.
   */
  async notify(method: string, params: object = {}, options: RequestOptions = {}): Promise<void> {
    const name = method.startsWith('notifications/') ? method : `notifications/${method}`;
    await this.#call(name, params, false, options);
  }
}
