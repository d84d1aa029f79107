import type { Plugin } from "../../proxy/plugin.ts";
import { checkPatterns } from "../shared/patterns-check.ts";
import { refuse } from "../shared/refuse.ts";

interface Settings {
  readonly bypass_missing: boolean;
  readonly allowlist?: readonly string[];
  readonly denylist?: readonly string[];
  readonly message: string;
}

const PATTERNS = { type: "array", minItems: 1, items: { type: "string", minLength: 1 } } as const;

/** Lets through or keeps out callers by what they say they are in `User-Agent`. */
export const uaRestriction: Plugin<Settings> = {
  name: "ua-restriction",
  priority: 2999,
  schema: {
    type: "object",
    properties: {
      bypass_missing: { type: "boolean", default: false },
      allowlist: PATTERNS,
      denylist: PATTERNS,
      message: { type: "string", minLength: 1, maxLength: 1024, default: "Not allowed" },
    },
    oneOf: [{ required: ["allowlist"] }, { required: ["denylist"] }],
  },
  check: ({ allowlist = [], denylist = [] }, profile) => checkPatterns([...allowlist, ...denylist], profile),
  create({ bypass_missing: takesMissing, allowlist, denylist, message }, { profile }, ports) {
    const patterns = (allowlist ?? denylist ?? []).map((source) => ports.pattern(source, ""));
    const matches = (agent: string): boolean => patterns.some((pattern) => pattern.test(agent.trim()));
    return {
      access(call) {
        const agents = call.head.headers.all("user-agent");
        if (agents.length === 0) return takesMissing ? undefined : refuse(profile, 403, message);
        return agents.some(matches) === (allowlist !== undefined) ? undefined : refuse(profile, 403, message);
      },
    };
  },
};
