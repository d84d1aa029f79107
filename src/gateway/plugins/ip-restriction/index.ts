import { toFault } from "../../../kernel/index.ts";
import { ADDRESS } from "../../dialect/schemas/shared.ts";
import type { Plugin } from "../../proxy/plugin.ts";
import { compileAddresses } from "../../routing/addresses.ts";
import { refuse } from "../shared/refuse.ts";

interface Settings {
  readonly message: string;
  readonly response_code: number;
  readonly whitelist?: readonly string[];
  readonly blacklist?: readonly string[];
}

const ADDRESSES = { type: "array", items: ADDRESS, minItems: 1 } as const;

/** Lets through or keeps out callers by their address. */
export const ipRestriction: Plugin<Settings> = {
  name: "ip-restriction",
  priority: 3000,
  schema: {
    type: "object",
    properties: {
      message: { type: "string", minLength: 1, maxLength: 1024, default: "Your IP address is not allowed" },
      response_code: { type: "integer", minimum: 403, maximum: 404, default: 403 },
      whitelist: ADDRESSES,
      blacklist: ADDRESSES,
    },
    oneOf: [{ required: ["whitelist"] }, { required: ["blacklist"] }],
  },
  // the schema's patterns let some addresses through that are none
  check: ({ whitelist = [], blacklist = [] }) => {
    const wrong = [...whitelist, ...blacklist].find((source) => !isAddress(source));
    return wrong === undefined ? undefined : `invalid ip address: ${wrong}`;
  },
  create({ message, response_code: status, whitelist, blacklist }, { profile }) {
    const matches = compileAddresses(whitelist ?? blacklist ?? []);
    const allows = whitelist !== undefined;
    return {
      access: (call) => (matches(String(call.variable("remote_addr") ?? "")) === allows ? undefined : refuse(profile, status, message)),
    };
  },
};

function isAddress(source: string): boolean {
  try {
    compileAddresses([source]);
    return true;
  } catch (error) {
    if (toFault(error).code !== "invalid_settings") throw error;
    return false;
  }
}
