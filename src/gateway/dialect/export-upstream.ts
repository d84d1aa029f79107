import type { ExportNotes } from "./export-notes.ts";
import { isRecord } from "./schema/compiler.ts";

const TLS_SCHEMES: ReadonlySet<unknown> = new Set(["https", "grpcs"]);

/** An upstream without the fields that are ours. `strict`: written under that profile, which asks TLS upstreams for a certificate. */
export function exportUpstream(
  place: string,
  upstream: Readonly<Record<string, unknown>>,
  strict: boolean,
  notes: ExportNotes,
): Record<string, unknown> {
  const { fair, nodes_by_placement: byPlacement, ...rest } = upstream;
  if (fair !== undefined) notes.say(place, "fair (each tenant's share of the upstream) is left out: one tenant can take all of it");
  if (byPlacement !== undefined) notes.say(place, "nodes_by_placement is left out: dedicated and isolated tenants share the others' nodes");
  const tls = isRecord(rest["tls"]) ? rest["tls"] : {};
  if (!strict || !TLS_SCHEMES.has(rest["scheme"]) || tls["verify"] !== undefined) return rest;
  notes.say(place, "the upstream's certificate is verified only where apisix.ssl.ssl_trusted_certificate is set");
  return { ...rest, tls: { ...tls, verify: true } };
}
