import { Fault } from "../../../kernel/index.ts";
import { jsonAnswer, type Plugin } from "../../proxy/plugin.ts";
import { checkPatterns } from "../shared/patterns-check.ts";

interface Settings {
  readonly block_rules: readonly string[];
  readonly rejected_code: number;
  readonly rejected_msg?: string;
  readonly case_insensitive: boolean;
}

const FORBIDDEN = 403;

/** Refuses requests whose target matches a pattern. */
export const uriBlocker: Plugin<Settings> = {
  name: "uri-blocker",
  priority: 2900,
  schema: {
    type: "object",
    properties: {
      block_rules: { type: "array", items: { type: "string", minLength: 1, maxLength: 4096 }, uniqueItems: true },
      rejected_code: { type: "integer", minimum: 200, default: FORBIDDEN },
      rejected_msg: { type: "string", minLength: 1 },
      case_insensitive: { type: "boolean", default: false },
    },
    required: ["block_rules"],
  },
  check: ({ block_rules: rules }, profile) => checkPatterns(rules, profile),
  create({ block_rules: rules, rejected_code: status, rejected_msg: text, case_insensitive: folds }, { profile }, ports) {
    const patterns = rules.map((rule) => ports.pattern(rule, folds ? "i" : ""));
    return {
      rewrite(call) {
        const { raw, query } = call.head.target;
        // the path as it is matched, so that no other spelling of it gets by; in strict also as it is forwarded
        const targets = [query === "" ? call.path : `${call.path}?${query}`, ...(profile === "strict" ? [raw] : [])];
        if (!patterns.some((pattern) => targets.some((target) => pattern.test(target)))) return undefined;
        if (profile === "strict" && status === FORBIDDEN) {
          throw new Fault("forbidden", "a blocked target", text === undefined ? {} : { public: { detail: text } });
        }
        return text === undefined ? { status, headers: {}, body: undefined } : jsonAnswer(status, { error_msg: text });
      },
    };
  },
};
