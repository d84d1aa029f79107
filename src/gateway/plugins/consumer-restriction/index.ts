import type { Call, Plugin } from "../../proxy/plugin.ts";
import { refuse } from "../shared/refuse.ts";

type Subject = "consumer_name" | "service_id" | "route_id" | "consumer_group_id";

interface Settings {
  readonly type: Subject;
  readonly blacklist?: readonly string[];
  readonly whitelist?: readonly string[];
  readonly allowed_by_methods?: readonly { readonly user?: string; readonly methods?: readonly string[] }[];
  readonly rejected_code: number;
  readonly rejected_msg?: string;
}

const SUBJECTS: Readonly<Record<Subject, (call: Call) => string | undefined>> = {
  consumer_name: (call) => call.consumer?.username,
  consumer_group_id: (call) => call.consumer?.groupId,
  service_id: (call) => call.route?.serviceId,
  route_id: (call) => call.route?.id,
};

const NAMES = { type: "array", minItems: 1, items: { type: "string" } } as const;
const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"] as const;

/** Lets through or keeps out consumers, their groups, or whole routes and services. */
export const consumerRestriction: Plugin<Settings> = {
  name: "consumer-restriction",
  priority: 2400,
  schema: {
    type: "object",
    properties: {
      type: { type: "string", enum: ["consumer_name", "service_id", "route_id", "consumer_group_id"], default: "consumer_name" },
      blacklist: NAMES,
      whitelist: NAMES,
      allowed_by_methods: {
        type: "array",
        items: {
          type: "object",
          properties: {
            user: { type: "string" },
            methods: { type: "array", minItems: 1, items: { type: "string", enum: METHODS } },
          },
        },
      },
      rejected_code: { type: "integer", minimum: 200, default: 403 },
      rejected_msg: { type: "string" },
    },
    anyOf: [{ required: ["blacklist"] }, { required: ["whitelist"] }, { required: ["allowed_by_methods"] }],
  },
  create(settings, { profile }) {
    const { type, rejected_code: status, rejected_msg: text = `The ${type} is forbidden.` } = settings;
    const subject = SUBJECTS[type];
    const isAllowed = compile(settings);
    return {
      access(call) {
        const value = subject(call);
        if (value === undefined) return refuse(profile, 401, `The request is rejected, please check the ${type} for this request`);
        return isAllowed(value, call.head.method) ? undefined : refuse(profile, status, text);
      },
    };
  },
};

function compile({ blacklist, whitelist, allowed_by_methods: rules = [] }: Settings): (value: string, method: string) => boolean {
  const black = new Set(blacklist);
  const white = whitelist && new Set(whitelist);
  const methods = new Map<string, ReadonlySet<string>>();
  // of two entries of a user the first counts
  for (const { user, methods: own } of rules.toReversed()) if (user !== undefined) methods.set(user, new Set(own));
  return (value, method) => {
    if (black.has(value)) return false;
    if (white) return white.has(value);
    return methods.get(value)?.has(method) ?? true;
  };
}
