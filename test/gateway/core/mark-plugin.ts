import type { Plugin } from "../../../src/gateway/proxy/plugin.ts";

interface Settings {
  readonly text?: string;
  readonly stop?: number;
}

/** A plugin that writes down where its settings stand: for the upstream as `x-mark`, for the caller as `x-marked`; `stop` ends the call in the access phase. */
export function markPlugin(name = "mark", priority = 1, closed: string[] = []): Plugin<Settings> {
  return {
    name,
    priority,
    schema: { type: "object", properties: { text: { type: "string" }, stop: { type: "integer" } }, additionalProperties: false },
    create: ({ text, stop }, owner) => {
      const said = `${name}@${owner.id}${text === undefined ? "" : `=${text}`}`;
      return {
        rewrite: (call) => {
          call.upstream.headers.add("x-rewrite", said);
          return undefined;
        },
        access: (call) => {
          call.upstream.headers.add("x-mark", said);
          return stop === undefined ? undefined : { status: stop, headers: {}, body: "stopped" };
        },
        header: (_call, response) => {
          response.headers.add("x-marked", said);
        },
        close: () => void closed.push(said),
      };
    },
  };
}
