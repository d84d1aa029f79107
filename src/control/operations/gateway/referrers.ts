import type { GatewayDocument, ObjectKind } from "../../../gateway/index.ts";
import type { Target } from "./gateway-admin.ts";

type Named = Readonly<Record<string, unknown>>;

/** What can refer to each kind, and by which field. */
const REFERRERS: Readonly<
  Partial<
    Record<ObjectKind, { readonly what: string; readonly field: string; readonly by: readonly ("routes" | "services" | "consumers")[] }>
  >
> = {
  upstreams: { what: "this upstream", field: "upstream_id", by: ["routes", "services"] },
  services: { what: "this service directly", field: "service_id", by: ["routes"] },
  plugin_configs: { what: "this plugin config", field: "plugin_config_id", by: ["routes"] },
  consumer_groups: { what: "this consumer group", field: "group_id", by: ["consumers"] },
};

/** What is said where the object is still used, by the first that uses it; undefined where it can go. */
export function stillUsed({ kind, id }: Pick<Target, "kind" | "id">, document: GatewayDocument): string | undefined {
  const rule = REFERRERS[kind];
  for (const name of rule?.by ?? []) {
    const objects: Iterable<unknown> = name === "routes" ? document.routes : document[name].values();
    for (const object of objects as Iterable<Named>) {
      if (object[rule?.field ?? ""] !== id) continue;
      const user = `${name.slice(0, -1)} [${String(object["id"] ?? object["username"])}]`;
      return `can not delete ${rule?.what}, ${user} is still using it now`;
    }
  }
  return undefined;
}
