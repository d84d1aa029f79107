import { z } from "zod";
import { DOCUMENT_BYTES_MAX, type GatewayConfig, json, type Operation, rawPlatformOperation } from "../../../gateway/index.ts";
import { Fault, type Json } from "../../../kernel/index.ts";
import type { GatewayWrite } from "../../../tenancy/registry/index.ts";
import type { Answer, RequestHead } from "../../../wire/index.ts";
import { recordChange } from "../../record-change.ts";
import type { Services } from "../../services.ts";
import { confirmedBy, toErrorMessage } from "./gateway-admin.ts";

const DIGEST_LENGTH_MAX = 256;
/** The digest of the last whole document is kept beside the objects; it is no part of any document. */
const DIGEST = { kind: "configs", id: "digest" } as const;
const QUERY = z.strictObject({ fresh: z.enum(["true", "false"]).optional() });

/** `/apisix/admin/configs`: reads, checks and replaces everything that is stored, at once. */
export function gatewayConfigs(services: Services, config: GatewayConfig): readonly Operation[] {
  const shared = { bytesMax: DOCUMENT_BYTES_MAX, refusal: toErrorMessage, query: QUERY };
  const path = "/apisix/admin/configs";
  return [
    rawPlatformOperation(
      { role: "admin" },
      {
        ...shared,
        method: "PUT",
        path,
        summary: "Replace the gateway's stored document; X-Digest says whether it is another than the last.",
        async run(call) {
          const digest = digestOf(call.head);
          const fresh = call.query.fresh === "true";
          const last = config.stored().find(({ kind, id }) => kind === DIGEST.kind && id === DIGEST.id);
          if (last?.value === digest && !fresh) return { status: 204, headers: {}, body: undefined };
          const change = await toWrite(config, call.body, call.head, digest);
          const confirmation = await config.write({ ...change, fresh });
          recordChange(services, call, "gateway_replaced", null, { objects: change.put.length - 1 });
          return { status: 202, headers: confirmedBy(confirmation), body: undefined };
        },
      },
    ),
    rawPlatformOperation(
      { role: "admin" },
      {
        ...shared,
        method: "POST",
        path: `${path}/validate`,
        summary: "Check a whole gateway document without storing it.",
        async run(call): Promise<Answer> {
          const { warnings } = await config.check(await toWrite(config, call.body, call.head, ""));
          return json(200, { warnings });
        },
      },
    ),
    rawPlatformOperation(
      { role: "admin" },
      {
        ...shared,
        method: "POST",
        path: `${path}/reload`,
        summary: "Read the gateway's settings file again, at once.",
        async run(call): Promise<Answer> {
          await config.reload({ fresh: call.query.fresh === "true" });
          recordChange(services, call, "gateway_replaced", null, { objects: 0 });
          return json(200, { warnings: config.warnings() });
        },
      },
    ),
    rawPlatformOperation(
      { role: "admin" },
      {
        ...shared,
        method: "GET",
        path,
        summary: "Read the gateway document in force as it is written.",
        run: async () => ({ status: 200, headers: { "content-type": "application/json" }, body: await config.source() }),
      },
    ),
  ];
}

function digestOf(head: RequestHead): string {
  const digest = head.headers.one("x-digest") ?? "";
  if (digest !== "" && digest.length <= DIGEST_LENGTH_MAX) return digest;
  const detail = "missing digest header";
  throw new Fault("invalid_settings", detail, { public: { detail } });
}

async function toWrite(config: GatewayConfig, body: Uint8Array, head: RequestHead, digest: string): Promise<GatewayWrite> {
  const format = /yaml/i.test(head.headers.one("content-type") ?? "") ? "yaml" : "json";
  const objects = await config.objectsOf(body, format);
  const put = objects.map(({ kind, id, value }) => ({ kind, id, value: value as Json })); // read from JSON or YAML
  return { put: [...put, { ...DIGEST, value: digest }], remove: "everything" };
}
