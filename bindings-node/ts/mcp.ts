/** What MCP servers answer, as the protocol has it: what is not known here is there all the same. */

/** Metadata and whatever a newer server adds. */
interface Open {
  readonly _meta?: Readonly<Record<string, unknown>>;
  readonly [member: string]: unknown;
}

/** A JSON Schema. */
export type McpSchema = Readonly<Record<string, unknown>>;

/** A tool. */
export interface McpTool extends Open {
  readonly name: string;
  readonly title?: string;
  readonly description?: string;
  readonly inputSchema: McpSchema;
  readonly outputSchema?: McpSchema;
  readonly annotations?: Readonly<Record<string, unknown>>;
}

/** A resource. */
export interface McpResource extends Open {
  readonly uri: string;
  readonly name: string;
  readonly title?: string;
  readonly description?: string;
  readonly mimeType?: string;
  /** Bytes, where the server knows. */
  readonly size?: number;
}

/** A template of resources' addresses. */
export interface McpResourceTemplate extends Open {
  readonly uriTemplate: string;
  readonly name: string;
  readonly title?: string;
  readonly description?: string;
  readonly mimeType?: string;
}

/** The contents of a resource: a text, or bytes in base64. */
export interface McpResourceContents extends Open {
  readonly uri: string;
  readonly mimeType?: string;
  readonly text?: string;
  readonly blob?: string;
}

/** A piece of what a tool or a prompt says. */
export type McpContent =
  | (Open & { readonly type: 'text'; readonly text: string })
  | (Open & { readonly type: 'image' | 'audio'; readonly data: string; readonly mimeType: string })
  | (Open & { readonly type: 'resource_link'; readonly uri: string; readonly name: string })
  | (Open & { readonly type: 'resource'; readonly resource: McpResourceContents });

/** What a tool answers. */
export interface McpToolResult extends Open {
  readonly content: readonly McpContent[];
  readonly structuredContent?: Readonly<Record<string, unknown>>;
  /** The tool itself failed, and its content says why. */
  readonly isError: boolean;
}

/** What reading a resource gives. */
export interface McpReadResult extends Open {
  readonly contents: readonly McpResourceContents[];
}

/** A prompt. */
export interface McpPrompt extends Open {
  readonly name: string;
  readonly title?: string;
  readonly description?: string;
  readonly arguments?: readonly (Open & {
    readonly name: string;
    readonly description?: string;
    readonly required?: boolean;
  })[];
}

/** A prompt that is filled in. */
export interface McpPromptResult extends Open {
  readonly description?: string;
  readonly messages: readonly (Open & { readonly role: 'user' | 'assistant'; readonly content: McpContent })[];
}

/** What a server can do. */
export interface McpServerCapabilities extends Open {
  readonly tools?: Open;
  readonly resources?: Open;
  readonly prompts?: Open;
  readonly logging?: Open;
  readonly completions?: Open;
  readonly experimental?: Readonly<Record<string, unknown>>;
}

/** From which level on a server sends log records. */
export type McpLoggingLevel = 'debug' | 'info' | 'notice' | 'warning' | 'error' | 'critical' | 'alert' | 'emergency';
