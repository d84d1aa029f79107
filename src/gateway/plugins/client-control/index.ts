import { Fault } from "../../../kernel/index.ts";
import type { Plugin } from "../../proxy/plugin.ts";

interface Settings {
  /** Bytes; 0 is no bound. */
  readonly max_body_size?: number;
}

/** Bounds the body of a request. */
export const clientControl: Plugin<Settings> = {
  name: "client-control",
  priority: 22_000,
  schema: { type: "object", properties: { max_body_size: { type: "integer", minimum: 0 } } },
  create({ max_body_size: bytesMax = 0 }) {
    if (bytesMax === 0) return {};
    return {
      rewrite(call) {
        if (!call.exchange.hasBody) return undefined;
        const length = call.head.headers.one("content-length");
        // without a length only reading tells, and it stops at the bound
        if (length === undefined) return call.body(bytesMax).then(() => undefined);
        if (Number(length) > bytesMax) throw new Fault("body_too_large", `a body of ${length} bytes, over ${bytesMax}`);
        return undefined;
      },
    };
  },
};
