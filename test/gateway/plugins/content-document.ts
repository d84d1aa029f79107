import assert from "node:assert/strict";
import { parseGatewayDocument } from "../../../src/gateway/dialect/index.ts";
import { PLUGINS } from "../../../src/gateway/plugins/index.ts";
import type { Profile } from "../../../src/gateway/proxy/plugin.ts";
import { toFault } from "../../../src/kernel/index.ts";

/** A document whose one route takes every path with these plugins. */
export function routeWith(node: string, plugins: object, more: object = {}): object {
  return { routes: [{ id: "1", uri: "/*", plugins, upstream: { type: "roundrobin", nodes: { [node]: 1 } }, ...more }] };
}

/** These settings are refused when a document with them is read, and this is said. */
export function assertRefused(plugin: string, settings: object, message: RegExp, profile: Profile = "strict"): void {
  const document = routeWith("127.0.0.1:1", { [plugin]: settings });
  const said: string[] = [];
  try {
    said.push(...parseGatewayDocument(document, { profile, plugins: PLUGINS }).warnings);
    assert.equal(profile, "apisix", "the document was taken");
  } catch (error) {
    const {
      code,
      message: text,
      public: { detail = "" },
    } = toFault(error);
    assert.equal(code, "invalid_settings");
    said.push(text, detail);
  }
  assert.match(said.join("\n"), message);
}
