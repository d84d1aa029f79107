import { z } from "zod";
import { type GatewayConfig, json, type Operation, rawPlatformOperation, readGatewayText, splitDocument } from "../../../gateway/index.ts";
import { Fault, type Json } from "../../../kernel/index.ts";
import type { GatewayWrite } from "../../../tenancy/registry/index.ts";
import type { Answer, RequestHead } from "../../../wire/index.ts";
import { recordChange } from "../../record-change.ts";
import type { Services } from "../../services.ts";
import { toErrorMessage } from "./gateway-admin.ts";

const DOCUMENT_BYTES_MAX = 32 * 1024 * 1024;
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
          const change = toWrite(call.body, call.head, digest);
          await config.write(change, { fresh });
          recordChange(services, call, "gateway_replaced", null, { objects: change.put.length - 1 });
          return { status: 202, headers: {}, body: undefined };
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
        run(call): Answer {
          const { warnings } = config.check(toWrite(call.body, call.head, ""));
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
        run: () => json(200, config.source()),
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

function toWrite(body: Uint8Array, head: RequestHead, digest: string): GatewayWrite {
  const format = /yaml/i.test(head.headers.one("content-type") ?? "") ? "yaml" : "json";
  // variables belong to the file of the machine: a caller does not read its environment
  const document = readGatewayText(Buffer.from(body).toString("utf8"), format, () => undefined) ?? {};
  if (typeof document !== "object" || Array.isArray(document)) {
    const detail = "invalid configuration: the document is no mapping";
    throw new Fault("invalid_settings", detail, { public: { detail } });
  }
  const objects = splitDocument({ ...document }).map(({ kind, id, value }) => ({ kind, id, value: value as Json })); // read from JSON or YAML
  assertParts({ ...document });
  return { put: [...objects, { ...DIGEST, value: digest }], remove: "everything" };
}

/** What the parts of a document cannot keep must not be lost without a word. */
function assertParts(document: Readonly<Record<string, unknown>>): void {
  const ids = new Set<string>();
  const kept = splitDocument(document);
  const unknown = Object.keys(document).find(
    (name) => !name.endsWith("_conf_version") && !isEmpty(document[name]) && !kept.some(({ kind }) => kind === name),
  );
  const twice = kept.find(({ kind, id }) => ids.size === ids.add(JSON.stringify([kind, id])).size);
  const detail = unknown === undefined ? twice && `${twice.kind} ${twice.id} is there twice` : `${unknown} is no part of a document`;
  if (detail !== undefined) throw new Fault("invalid_settings", detail, { public: { detail } });
}

function isEmpty(value: unknown): boolean {
  return value === null || (typeof value === "object" && Object.keys(value).length === 0);
}
