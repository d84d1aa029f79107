import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { after } from "node:test";
import express from "express";
import Fastify from "fastify";
import { Fault, type Freehold, type RequestTenant } from "freehold";
import * as forExpress from "freehold/express";
import * as forFastify from "freehold/fastify";
import * as forHono from "freehold/hono";
import { createTestFreehold, type TestFreehold, type TestOptions } from "freehold/testing";
import { Hono } from "hono";
import { rmSync } from "node:fs";
import { templateFolder } from "../support/databases.ts";
import { copyTemplate } from "../support/embedded-template.ts";

const ends: (() => Promise<void> | void)[] = [];

// for the test file as a whole: a hook that a suite registers ends with that suite
after(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** The root key that the embedded template was made with. */
const TEMPLATE_KEY = Buffer.alloc(32, 7).toString("hex");

/** A Freehold for tests over a copy of the template, which is faster than making a database. Closed with the test file. */
export async function startTestFreehold(options: TestOptions = {}): Promise<TestFreehold> {
  const folder = copyTemplate(await templateFolder());
  const testing = await createTestFreehold({ database: { folder }, rootKey: TEMPLATE_KEY, ...options });
  ends.push(async () => {
    await testing.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return testing;
}

/** One answer of a service. */
export interface ServiceReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** A service under test behind one framework. What its handlers did is in `ran`. */
export interface Service {
  readonly framework: string;
  /** The tenants for whom the handler ran. */
  readonly ran: string[];
  send(path: string, fields: readonly string[], body?: string): Promise<ServiceReply>;
}

/** What the routes of every service do. */
export interface Handlers {
  /** `GET /who` */
  who(tenant: RequestTenant): Promise<unknown>;
}

export const FRAMEWORKS = ["Express", "Fastify", "Hono"] as const;

/** The same service on this framework: `GET /who`, `GET /fault`, `GET /broken` and `POST /echo`. Ends with the test file. */
export async function startService(framework: (typeof FRAMEWORKS)[number], freehold: Freehold, handlers: Handlers): Promise<Service> {
  const ran: string[] = [];
  const who = async (tenant: RequestTenant): Promise<unknown> => {
    ran.push(tenant.context.tenant.id);
    return await handlers.who(tenant);
  };
  if (framework === "Hono") return { framework, ran, send: honoService(freehold, who) };
  const url = framework === "Express" ? await expressService(freehold, who) : await fastifyService(freehold, who);
  return { framework, ran, send: (path, fields, body) => sendRaw(url + path, fields, body) };
}

function fault(): never {
  throw new Fault("rate_limited", "inner words", { public: { detail: "Wait a moment.", retryAfterMs: 1_500 } });
}

function broken(): never {
  throw new Error("inner words of select secret from somewhere");
}

async function expressService(freehold: Freehold, who: Handlers["who"]): Promise<string> {
  const app = express();
  app.use(forExpress.tenantMiddleware(freehold));
  app.get("/who", async (req, res) => void res.json(await who(req.tenant)));
  app.get("/fault", fault);
  app.get("/broken", broken);
  app.post("/echo", express.json(), (req, res) => void res.json(req.body));
  app.use(forExpress.problemHandler(freehold));
  return await listen(createServer(app));
}

async function fastifyService(freehold: Freehold, who: Handlers["who"]): Promise<string> {
  const app = Fastify();
  await app.register(forFastify.tenantPlugin, { freehold });
  app.setErrorHandler(forFastify.problemHandler(freehold));
  app.get("/who", async (req) => await who(req.tenant));
  app.get("/fault", fault);
  app.get("/broken", broken);
  app.post("/echo", async (req) => req.body);
  const url = await app.listen({ port: 0, host: "127.0.0.1" });
  ends.push(() => app.close());
  return url;
}

/** Hono is called as every runtime calls it: by a standard Request. */
function honoService(freehold: Freehold, who: Handlers["who"]): Service["send"] {
  const app = new Hono();
  app.use(forHono.tenantMiddleware(freehold));
  app.get("/who", async (c) => c.json((await who(c.var.tenant)) as object)); // the tests answer with objects
  app.get("/fault", fault);
  app.get("/broken", broken);
  app.post("/echo", async (c) => c.json(JSON.parse(await c.req.text()) as object)); // the same
  app.onError(forHono.problemHandler(freehold));
  return async (path, fields, body) => {
    const headers = new Headers();
    for (let at = 0; at < fields.length; at += 2) headers.append(fields[at] ?? "", fields[at + 1] ?? "");
    const response = await app.fetch(
      new Request(`http://service.test${path}`, { headers, ...(body !== undefined && { method: "POST", body }) }),
    );
    return { status: response.status, headers: Object.fromEntries(response.headers), text: await response.text() };
  };
}

/** Sends these field lines as they are, repeated names included. */
export async function sendRaw(url: string, fields: readonly string[], body?: string): Promise<ServiceReply> {
  const outgoing = request(url, { method: body === undefined ? "GET" : "POST", headers: ["Host", new URL(url).host, ...fields] });
  outgoing.end(body);
  const [response] = (await once(outgoing, "response")) as [IncomingMessage]; // the event's only argument
  const pieces = (await response.toArray()) as Buffer[]; // no encoding is set
  return { status: response.statusCode ?? 0, headers: response.headers, text: Buffer.concat(pieces).toString() };
}

/** The URL of the server on a free port. It ends with the test file. */
export async function listen(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo; // a server that listens on TCP has a port
  return `http://127.0.0.1:${port}`;
}
