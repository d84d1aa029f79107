import type { Plugin, Profile } from "../../proxy/plugin.ts";
import { callersVariable, limitHazards, withoutKey } from "../shared/limit-settings.ts";
import { WindowLimiter } from "./limiter.ts";
import { METADATA, SCHEMA, type Settings } from "./settings.ts";

/** Limits requests per window of time, by what a request is counted by. */
export const limitCount: Plugin<Settings> = {
  name: "limit-count",
  aliases: ["rate-limit"],
  priority: 1002,
  schema: SCHEMA,
  metadata: METADATA,
  check,
  group: ({ group }) => group,
  hazards: (settings, profile, place) => limitHazards(settings.rules ? withoutKey(settings) : settings, profile, place),
  create: (settings, owner, ports) => new WindowLimiter(settings, owner, ports),
};

function check(settings: Settings, profile: Profile): string | undefined {
  const { count, time_window: window, rules, group, policy, sync_interval: sync } = settings;
  if (rules && (count !== undefined || window !== undefined)) return "count/time_window and rules cannot be specified at the same time";
  if (group !== undefined && rules) return "group and rules cannot be specified at the same time";
  if (policy !== "local" && sync !== undefined && sync !== -1) {
    if (sync < 0.1) return "sync_interval should not be smaller than 0.1";
    if (typeof window === "number" && sync >= window) return "sync_interval should be smaller than time_window";
  }
  const keys = new Set<string>();
  for (const { key } of rules ?? []) {
    if (keys.has(key)) return `duplicate key '${key}' in rules`;
    keys.add(key);
  }
  if (profile === "apisix") return undefined;
  const theirs = callersVariable([count, window, ...(rules ?? []).flatMap((rule) => [rule.count, rule.time_window])]);
  return theirs === undefined ? undefined : `count and time_window cannot be made of ${theirs}, which callers choose themselves`;
}
