import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { crc32 } from "node:zlib";
import { assertSigned, type SigningIdentity } from "../support/sigv4.ts";
import { promptTokens, turnOfLoop } from "./scripted-provider.ts";

/** One request as Bedrock got it. */
export interface Asked {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: {
    readonly system: unknown;
    readonly messages: readonly { readonly role: string; readonly content: readonly Record<string, unknown>[] }[];
    readonly inferenceConfig?: { readonly maxTokens?: number };
    readonly toolConfig?: unknown;
  };
}

/** Who may ask: whoever has this API key of Bedrock, or whoever signs so. */
export type Credential = { readonly apiKey: string } | { readonly signed: SigningIdentity };

/**
 * A server that speaks Amazon Bedrock's Converse, whole and as frames of an event stream with their checksums. What it does is in the name of the model:
 * `say-12` answers with twelve tokens, `stubborn-40` with forty whatever it is asked for, `tool-X` calls `look_up` with the text of the base64 X, `fail-503` refuses,
 * and streams of five tokens end wrongly: `cut` in the middle of a frame, `half` without an end, `throttled` by an exception, `damaged` with a checksum that does not fit.
 */
export interface ScriptedBedrock {
  readonly url: string;
  readonly asked: Asked[];
  /** What was wrong about requests. */
  readonly problems: string[];
  close(): void;
}

/** Starts one that answers whoever has the credential. */
export async function startBedrock(credential: Credential): Promise<ScriptedBedrock> {
  const asked: Asked[] = [];
  const problems: string[] = [];
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      const bytes = Buffer.concat(pieces);
      try {
        if ("signed" in credential) assertSigned(request, bytes, credential.signed);
        else assert.equal(request.headers.authorization, `Bearer ${credential.apiKey}`);
        assert.equal(request.headers["content-type"], "application/json");
        const body = JSON.parse(bytes.toString("utf8")) as Asked["body"]; // what is none ends up in the problems
        asked.push({ path: request.url ?? "", headers: request.headers, body });
        answer(request.url ?? "", body, promptTokens(bytes.toString("utf8")), response).catch((error: unknown) =>
          problems.push(String(error)),
        );
      } catch (error) {
        problems.push(error instanceof Error ? error.message : String(error));
        response.writeHead(403, { "content-type": "application/json" }).end('{"message":"not you"}');
      }
    });
    response.on("error", () => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // a listening TCP server has one
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    problems,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(path: string, { inferenceConfig }: Asked["body"], inputTokens: number, response: ServerResponse): Promise<void> {
  const [, encoded = "", action = ""] = /^\/model\/([^/]+)\/(converse(?:-stream)?)$/.exec(path) ?? [];
  const [, verb = "", what = ""] = /^(?:vendor\.)?([a-z]+)-?([^:]*)(?::0)?$/.exec(decodeURIComponent(encoded)) ?? [];
  assert.notEqual(verb, "", `path ${path}`);
  if (verb === "fail") {
    response.writeHead(Number(what), { "content-type": "application/json", "x-amzn-requestid": "req-bedrock" });
    return void response.end(JSON.stringify({ message: `scripted ${what}` }));
  }
  const max = inferenceConfig?.maxTokens ?? Number.POSITIVE_INFINITY;
  const wanted = verb === "say" ? Math.min(Number(what), max) : verb === "stubborn" ? Number(what) : 5;
  const input = verb === "tool" ? Buffer.from(what, "base64url").toString() : undefined;
  const stopReason = input === undefined ? "end_turn" : "tool_use";
  const usage = { inputTokens, outputTokens: wanted, totalTokens: inputTokens + wanted };
  if (action === "converse") {
    const block =
      input === undefined ? { text: "tok ".repeat(wanted).trim() } : { toolUse: { ...TOOL, input: JSON.parse(input) as object } };
    const output = { message: { role: "assistant", content: [block] } };
    response.writeHead(200, { "content-type": "application/json", "x-amzn-requestid": "req-bedrock" });
    return void response.end(JSON.stringify({ output, stopReason, usage, metrics: { latencyMs: 1 } }));
  }
  response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream", "x-amzn-requestid": "req-bedrock" });
  const send = async (type: string, body: object): Promise<void> => {
    response.write(frame(type, body));
    await turnOfLoop();
  };
  await send("messageStart", { role: "assistant" });
  if (input === undefined) {
    for (let at = 0; at < wanted; at++) await send("contentBlockDelta", { contentBlockIndex: 0, delta: { text: "tok " }, p: "abc" });
  } else {
    await send("contentBlockStart", { contentBlockIndex: 0, start: { toolUse: TOOL } });
    for (const piece of input.match(/.{1,3}/gsu) ?? [])
      await send("contentBlockDelta", { contentBlockIndex: 0, delta: { toolUse: { input: piece } } });
  }
  if (verb === "half") return void response.end();
  if (verb === "cut")
    return void response.write(frame("contentBlockStop", { contentBlockIndex: 0 }).subarray(0, 30), () => response.destroy());
  if (verb === "throttled") return void response.end(frame("throttlingException", { message: "slower" }, "exception"));
  if (verb === "damaged") {
    const bytes = frame("contentBlockDelta", { contentBlockIndex: 0, delta: { text: "tok " } });
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    response.write(bytes);
  }
  await send("contentBlockStop", { contentBlockIndex: 0 });
  await send("messageStop", { stopReason });
  await send("metadata", { usage, metrics: { latencyMs: 1 } });
  response.end();
}

const TOOL = { toolUseId: "tooluse_1", name: "look_up" };

/** A frame: its lengths, their checksum, fields, the body, a checksum of all (Amazon's event stream encoding). */
function frame(type: string, body: object, kind: "event" | "exception" = "event"): Buffer {
  const fields = Buffer.concat([
    field(kind === "event" ? ":event-type" : ":exception-type", type),
    field(":content-type", "application/json"),
    field(":message-type", kind),
  ]);
  const payload = Buffer.from(JSON.stringify(body));
  const bytes = Buffer.alloc(16 + fields.length + payload.length);
  bytes.writeUInt32BE(bytes.length, 0);
  bytes.writeUInt32BE(fields.length, 4);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 8)), 8);
  fields.copy(bytes, 12);
  payload.copy(bytes, 12 + fields.length);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, -4)), bytes.length - 4);
  return bytes;
}

function field(name: string, value: string): Buffer {
  const STRING = 7;
  const length = Buffer.alloc(2);
  length.writeUInt16BE(value.length);
  return Buffer.concat([Buffer.from([name.length]), Buffer.from(name), Buffer.from([STRING]), length, Buffer.from(value)]);
}
