/** One body, the answers that are right for it on any operation that takes JSON, and how it is sent. */
export interface BodyVector {
  readonly name: string;
  readonly body: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** The codes that may come back; the first is what the vector is about. */
  readonly codes: readonly string[];
}

const JSON_TYPE = { "content-type": "application/json" } as const;
const DEEP = 200_000;

const utf16 = (text: string): Uint8Array => Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, "utf16le")]);

/** Texts that no reader may take for JSON of two meanings (RFC 8259, RFC 7493). */
const AMBIGUOUS: readonly BodyVector[] = [
  { name: "a tenant twice", body: '{"tenantId":"a","tenantId":"b"}', codes: ["invalid_json"] },
  { name: "a name twice in two spellings", body: '{"name":"x","na\\u006de":"y"}', codes: ["invalid_json"] },
  { name: "__proto__", body: '{"__proto__":{"isAdmin":true}}', codes: ["invalid_json"] },
  { name: "__proto__ in another spelling", body: '{"\\u005f_proto__":{"isAdmin":true}}', codes: ["invalid_json"] },
  { name: "a NUL in a text", body: '{"name":"a\\u0000b"}', codes: ["invalid_json"] },
  { name: "half a surrogate pair", body: '{"name":"\\ud800"}', codes: ["invalid_json"] },
  { name: "half a surrogate pair in a name", body: '{"\\udfff":1}', codes: ["invalid_json"] },
  { name: "a number beyond all doubles", body: '{"maxUsers":1e400}', codes: ["invalid_json"] },
  { name: "UTF-16", body: utf16('{"name":"x"}'), codes: ["invalid_json"] },
  { name: "a byte order mark", body: '\ufeff{"name":"x"}', codes: ["invalid_json"] },
  { name: "bytes that are not UTF-8", body: Buffer.from([0x7b, 0x22, 0x6e, 0x22, 0x3a, 0x22, 0xff, 0x22, 0x7d]), codes: ["invalid_json"] },
  { name: "an overlong encoding", body: Buffer.from([0x22, 0xc0, 0xaf, 0x22]), codes: ["invalid_json"] },
];

/** JSON, but not what any of our operations takes. */
const OTHER_SHAPES: readonly BodyVector[] = [
  { name: "another tenant and a name", body: '{"tenant_id":"b","name":"x"}', codes: ["unknown_field", "invalid_json"] },
  { name: "constructor", body: '{"constructor":{"prototype":{"isAdmin":true}}}', codes: ["unknown_field", "invalid_json"] },
  {
    name: "a plan and quotas",
    body: '{"plan":"enterprise","quotas":{"maxAIRequests":1e9},"x":1}',
    codes: ["unknown_field", "invalid_json"],
  },
  { name: "a limit below zero", body: '{"maxUsers":-1}', codes: ["unknown_field", "invalid_json"] },
  { name: "a limit that no double holds", body: '{"maxUsers":9007199254740993}', codes: ["unknown_field", "invalid_json"] },
  { name: "a limit as text", body: '{"maxUsers":"10"}', codes: ["unknown_field", "invalid_json"] },
  { name: "routes of a key", body: '{"allowed_routes":["/*"]}', codes: ["unknown_field", "invalid_json"] },
  { name: "rights of its own", body: '{"isAdmin":true}', codes: ["unknown_field", "invalid_json"] },
  {
    name: "an agent on a metadata service",
    body: '{"agentConfig":{"invokeUrl":"http://169.254.169.254/"},"x":1}',
    codes: ["unknown_field", "invalid_json"],
  },
  ...["[]", '"x"', "null", "true", "0", "[{}]"].map((body) => ({ name: `the bare value ${body}`, body, codes: ["invalid_json"] })),
];

const BROKEN: readonly BodyVector[] = [
  { name: "nothing", body: "", codes: ["invalid_json"] },
  { name: "half an object", body: '{"name":"x"', codes: ["invalid_json"] },
  { name: "two values", body: "{}{}", codes: ["invalid_json"] },
  { name: "a comment", body: "{/* */}", codes: ["invalid_json"] },
  { name: "a trailing comma", body: '{"name":"x",}', codes: ["invalid_json"] },
  { name: "NaN", body: '{"maxUsers":NaN}', codes: ["invalid_json"] },
  { name: "200,000 arrays inside each other", body: `{"a":${"[".repeat(DEEP)}${"]".repeat(DEEP)}}`, codes: ["body_too_deep"] },
  { name: "65 objects inside each other", body: `${'{"a":'.repeat(65)}1${"}".repeat(65)}`, codes: ["body_too_deep"] },
  { name: "3 MB", body: `{"name":"${"x".repeat(3_000_000)}"}`, codes: ["body_too_large"] },
].map((vector) => ({ ...vector }));

const OTHER_TYPES: readonly BodyVector[] = [
  ["application/json;charset=utf-7", "UTF-7"],
  ["application/json; charset=utf-16", "UTF-16 by name"],
  ["text/plain", "plain text"],
  ["application/x-www-form-urlencoded", "a form"],
  ["multipart/form-data; boundary=x", "a form of parts"],
  ["application/jsonp", "something like JSON"],
  ["", "no type"],
].map(([type = "", name = ""]) => ({
  name,
  body: '{"name":"x"}',
  headers: type === "" ? {} : { "content-type": type },
  codes: ["unsupported_media_type"],
}));

/** Bodies that every operation refuses. */
export const BODY_VECTORS: readonly BodyVector[] = [
  ...[...AMBIGUOUS, ...OTHER_SHAPES, ...BROKEN].map((vector) => ({ headers: JSON_TYPE, ...vector })),
  ...OTHER_TYPES,
  { name: "two types", body: "{}", headers: { "content-type": ["application/json", "text/plain"] }, codes: ["malformed_request"] },
  {
    name: "gzip",
    body: Buffer.from("1f8b0800000000000003abae0500438dac0302000000", "hex"),
    headers: { ...JSON_TYPE, "content-encoding": "gzip" },
    codes: ["unsupported_media_type"],
  },
  {
    name: "a coding nobody knows",
    body: "{}",
    headers: { ...JSON_TYPE, "content-encoding": "zstd, identity" },
    codes: ["unsupported_media_type"],
  },
];
