import type { Call } from "../../proxy/plugin.ts";

const KEY = {};

/** From now on the plugin of this name in the call's chain leaves the call alone: another plugin has done its work with settings of its own. */
export function takeOver(call: Call, plugin: string): void {
  const names = call.note<Set<string>>(KEY);
  if (names) names.add(plugin);
  else call.setNote(KEY, new Set([plugin]));
}

/** Whether another plugin has done the work of the plugin of this name. */
export function isTakenOver(call: Call, plugin: string): boolean {
  return call.note<Set<string>>(KEY)?.has(plugin) ?? false;
}
