import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { parseTenantId, type TenantId } from "../../src/kernel/index.ts";
import { isPublicAddress } from "../../src/wire/address.ts";
import { POOL_CONNECTIONS_MAX, POOL_WAITING_MAX } from "../../src/wire/egress.ts";
import { createEgress, type Egress, type EgressRequest, type Lookup } from "../../src/wire/index.ts";
import { type Ending, listenTcp } from "./loopback.ts";

interface Vector {
  readonly url: string;
  readonly expect: "allow" | "block";
  readonly why: string;
  readonly class: string;
}

const { vectors } = JSON.parse(readFileSync(new URL("../vectors/ssrf-urls.json", import.meta.url), "utf8")) as { vectors: Vector[] };

const PUBLIC = { address: "93.184.215.14", family: 4 } as const;
const LOOPBACK = { address: "127.0.0.1", family: 4 } as const;
const NAMES: Readonly<Record<string, Awaited<ReturnType<Lookup>>>> = {
  "localtest.me": [LOOPBACK, { address: "::1", family: 6 }],
  "rebind.example": [PUBLIC, LOOPBACK],
  "mapped.example": [{ address: "::ffff:127.0.0.1", family: 6 }],
  "garbage.example": [{ address: "not an address", family: 4 }],
  "nothing.example": [],
  localhost: [LOOPBACK],
};
const lookup: Lookup = async (host) => NAMES[host] ?? [PUBLIC];

function tenant(id: string): TenantId {
  const parsed = parseTenantId(id);
  assert.ok(parsed);
  return parsed;
}

const A = tenant("tenant-a");
const B = tenant("tenant-b");
const guarded = createEgress({ policy: { loopback: false, ports: [443, 8443] }, lookup });
const development = createEgress({ policy: { loopback: true, ports: [443, 8443] }, lookup });
after(() => Promise.all([guarded.close(), development.close()]));

function asking(url: string, more: Partial<EgressRequest> = {}): EgressRequest {
  return { method: "GET", url, headers: {}, timeoutMs: 10_000, bytesMax: 1_000, ...more };
}

/** A server that gives these bytes to each request, and what it was sent. */
async function answering(ending: Ending, bytes: string | ((socket: Socket) => void)): Promise<Answering> {
  const seen: string[] = [];
  let connections = 0;
  const port = await listenTcp(ending, (socket) => {
    connections++;
    socket.on("data", (data) => {
      seen.push(data.toString("latin1"));
      if (typeof bytes === "string") socket.write(bytes);
      else bytes(socket);
    });
  });
  return { url: `http://localhost:${port}/a?b=c`, seen, connections: () => connections };
}

interface Answering {
  readonly url: string;
  readonly seen: string[];
  connections(): number;
}

/** A client that calls loopback and is closed when the test is over. */
function calling(ending: Ending, more: Partial<Parameters<typeof createEgress>[0]> = {}): Egress {
  const egress = createEgress({ policy: { loopback: true, ports: [443] }, lookup, ...more });
  ending.after(() => egress.close());
  return egress;
}

const HELLO = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

async function bytesOf(egress: Egress, request: EgressRequest): Promise<string> {
  const answer = await egress.request(A, request);
  return Buffer.from(await answer.bytes()).toString();
}

describe("an address that a tenant may set", () => {
  for (const { url, expect, why, class: kind } of vectors.filter((vector) => vector.class !== "dns")) {
    test(`${expect}: ${JSON.stringify(url)} ${kind} ${why}`, () => {
      if (expect === "allow") assert.equal(guarded.check(url).href, url);
      else assert.throws(() => guarded.check(url), { code: "egress_denied" });
    });
    // with http refused for its scheme, the same host must be refused for itself
    const secure = url.replace(/^http:/, "https:");
    if (secure !== url)
      test(`block: ${JSON.stringify(secure)}`, () => assert.throws(() => guarded.check(secure), { code: "egress_denied" }));
  }

  for (const { url } of vectors.filter((vector) => vector.class === "dns")) {
    test(`block by its addresses: ${url}`, async () => {
      await assert.rejects(guarded.request(A, asking(url.replace("http:", "https:"))), { code: "egress_denied" });
    });
  }

  for (const host of ["mapped.example", "garbage.example"]) {
    test(`block by its addresses: ${host}`, () =>
      assert.rejects(guarded.request(A, asking(`https://${host}/`)), { code: "egress_denied" }));
  }

  test("without any address is unreachable", async () => {
    await assert.rejects(guarded.request(A, asking("https://nothing.example/")), { code: "upstream_unreachable" });
  });

  test("is called by its name without the trailing dot, which could not be compared", () => {
    assert.equal(guarded.check("https://example.com./x").href, "https://example.com/x");
    assert.throws(() => guarded.check("https://example.com../x"), { code: "egress_denied" });
    assert.throws(() => guarded.check("https://svc.cluster.local./x"), { code: "egress_denied" });
  });

  test("may be public and literal, in its usual spelling only", () => {
    assert.equal(guarded.check("https://8.8.8.8/").hostname, "8.8.8.8");
    assert.equal(guarded.check("https://[2606:4700:4700::1111]/").hostname, "[2606:4700:4700::1111]");
    for (const url of ["https://134744072/", "https://8.8.2056/", "https://010.8.8.8/"])
      assert.throws(() => guarded.check(url), { code: "egress_denied" });
  });

  test("is refused over http, with a fragment, a user, a foreign port, or a name of the inside", () => {
    for (const rest of [
      "http://example.com/",
      "https://example.com/#a",
      "https://a:b@example.com/",
      "https://@example.com/",
      "https://example.com:22/",
    ]) {
      assert.throws(() => guarded.check(rest), { code: "egress_denied" });
    }
    for (const rest of ["/a\tb", "/a\nb", "\\@127.0.0.1/", "/\u00e9", "/a b", " ", "/\u0000"]) {
      assert.throws(() => guarded.check(`https://example.com${rest}`), { code: "egress_denied" });
    }
    for (const host of ["a.internal", "a.b.svc", "printer.local", "metadata.example.com", "a_b.example", "router.lan", "xn--a.example"]) {
      assert.throws(() => guarded.check(`https://${host}/`), { code: "egress_denied" });
    }
  });

  test("that passes was spelled as it is called, whatever it is made of", (t) => {
    const piece = fc.constantFrom(
      "https://",
      "http://",
      "example.com",
      "127.0.0.1",
      "0x7f.1",
      "@",
      "#",
      "/",
      "\\",
      ":",
      "443",
      "\t",
      "%31",
      "[::1]",
      ".",
      "?",
    );
    const seed = Date.now();
    t.diagnostic(`seed ${seed}`);
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const raw = `https://${pieces.join("")}`;
        let url: URL;
        try {
          url = guarded.check(raw);
        } catch (error) {
          assert.equal((error as { code?: string }).code, "egress_denied");
          return;
        }
        const authority = raw.slice("https://".length).split(/[/?]/)[0] ?? "";
        assert.equal(authority.replace(/:(?:443)?$/, "").replace(/\.$/, ""), url.host);
        assert.match(url.host, /^(?:(?:443)?example\.com)+(?:443)?$|^[a-z0-9.]*[a-z][a-z0-9.]*$/);
      }),
      { seed, numRuns: 5_000 },
    );
  });
});

describe("a public address", () => {
  const not = [
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.0.8",
    "192.88.99.1",
    "203.0.113.1",
    "255.255.255.255",
    "168.63.129.16",
    "0.1.2.3",
  ];
  const notSix = [
    "::",
    "::1",
    "::8.8.8.8",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "2001::1",
    "2001:db8::1",
    "2002:808:808::1",
    "3fff::1",
  ];
  for (const address of [
    ...not,
    ...notSix,
    "fc00::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "5f00::1",
    "4000::1",
    "2606:4700::1%eth0",
    "",
    "x",
  ]) {
    test(`is not ${JSON.stringify(address)}`, () => assert.equal(isPublicAddress(address), false));
  }
  for (const address of ["8.8.8.8", "168.63.129.17", "2606:4700:4700::1111"])
    test(`is ${address}`, () => assert.ok(isPublicAddress(address)));
});

describe("a call out", () => {
  test("sends what was asked and nothing else, and gives the answer", async (t) => {
    const at = await answering(t, HELLO);
    const text = await bytesOf(development, asking(at.url, { method: "POST", headers: { "x-a": "b" }, body: "hi" }));
    assert.equal(text, "hello");
    const { host } = new URL(at.url);
    const expected = [
      "POST /a?b=c HTTP/1.1",
      `host: ${host}`,
      "connection: keep-alive",
      "accept-encoding: identity",
      "x-a: b",
      "content-length: 2",
    ];
    assert.equal(at.seen.join(""), `${expected.join("\r\n")}\r\n\r\nhi`);
  });

  test("goes to the addresses that were checked: a name is asked for once", async (t) => {
    const at = await answering(t, HELLO);
    let asked = 0;
    // a second question would get another answer, as in DNS rebinding
    const rebinding: Lookup = async () => (asked++ === 0 ? [LOOPBACK] : [PUBLIC]);
    const egress = calling(t, { lookup: rebinding });
    assert.equal(await bytesOf(egress, asking(at.url)), "hello");
    assert.equal(asked, 1);
  });

  test("to a public name never ends at a loopback address, in development neither", async () => {
    await assert.rejects(development.request(A, asking("https://localtest.me/")), { code: "egress_denied" });
    assert.throws(() => development.check("http://example.com/"), { code: "egress_denied" });
    assert.throws(() => development.check("http://0.0.0.0/"), { code: "egress_denied" });
  });

  test("over TLS names the host, whatever address it goes to", async (t) => {
    const at = await answering(t, (socket) => socket.destroy());
    await assert.rejects(development.request(A, asking(at.url.replace("http:", "https:"))), { code: "upstream_unreachable" });
    assert.match(at.seen.join(""), /localhost/);
  });

  test("never shares a connection between tenants", async (t) => {
    const at = await answering(t, HELLO);
    for (const id of [A, B, "platform"] as const) assert.equal((await (await development.request(id, asking(at.url))).bytes()).length, 5);
    assert.equal(at.connections(), 3);
    await bytesOf(development, asking(at.url));
    assert.equal(at.connections(), 3);
  });

  // well before an unused connection would end by itself
  test("keeps connections to a bounded number of addresses", { timeout: 2_000 }, async (t) => {
    const egress = calling(t, { poolsMax: 1 });
    const closed = Promise.withResolvers<void>();
    const first = await answering(t, (socket) => socket.once("close", () => closed.resolve()).write(HELLO));
    const second = await answering(t, HELLO);
    assert.equal(await bytesOf(egress, asking(first.url)), "hello");
    assert.equal(await bytesOf(egress, asking(second.url)), "hello");
    await closed.promise;
  });

  test("does not follow a redirect", async (t) => {
    const at = await answering(t, "HTTP/1.1 302 Found\r\nLocation: http://localhost:1/\r\nContent-Length: 0\r\n\r\n");
    const answer = await development.request(A, asking(at.url));
    assert.equal(answer.status, 302);
    assert.equal(answer.headers["location"], "http://localhost:1/");
    assert.equal((await answer.bytes()).length, 0);
    assert.equal(at.seen.length, 1);
  });

  for (const name of ["Host", "content-length", "Transfer-Encoding", "connection", "a b"]) {
    test(`may not set ${JSON.stringify(name)}`, async () => {
      await assert.rejects(development.request(A, asking("http://localhost:1/", { headers: { [name]: "x" } })), { code: "egress_denied" });
    });
  }

  test("may not set a field that breaks out of its line", async () => {
    await assert.rejects(development.request(A, asking("http://localhost:1/", { headers: { a: "b\r\nc: d" } })), { code: "egress_denied" });
  });

  const unusable: Record<string, string> = {
    "is longer than allowed, as announced": "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
    "is longer than allowed, unannounced": `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n${"x".repeat(1001)}\r\n`,
    "is compressed": "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
    "is not HTTP": "SSH-2.0-OpenSSH_9.9\r\n",
    "has header fields that are too large": `HTTP/1.1 200 OK\r\nx: ${"y".repeat(20_000)}\r\n\r\n`,
  };
  for (const [what, bytes] of Object.entries(unusable)) {
    test(`refuses an answer that ${what}`, async (t) => {
      const at = await answering(t, bytes);
      await assert.rejects(bytesOf(development, asking(at.url)), { code: "upstream_invalid" });
    });
  }

  test("takes an answer of exactly the bound, piece by piece", async (t) => {
    const at = await answering(t, `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n${"x".repeat(1000)}\r\n0\r\n\r\n`);
    let bytes = 0;
    for await (const piece of (await development.request(A, asking(at.url))).body) bytes += piece.length;
    assert.equal(bytes, 1_000);
  });

  test("tells an answer that was cut short from a whole one", async (t) => {
    const at = await answering(t, (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"));
    await assert.rejects(bytesOf(development, asking(at.url)), { code: "upstream_unreachable" });
  });

  test("to a port where nobody listens is unreachable", async () => {
    await assert.rejects(development.request(A, asking("http://localhost:1/")), { code: "upstream_unreachable" });
  });

  test("has a time limit for the head of the answer and for its body", async (t) => {
    const silent = await answering(t, "");
    await assert.rejects(development.request(A, asking(silent.url, { timeoutMs: 20 })), { code: "upstream_timeout" });
    const stuck = await answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
    await assert.rejects(bytesOf(development, asking(stuck.url, { timeoutMs: 50 })), { code: "upstream_timeout" });
  });

  test("has a time limit for the name, too", { timeout: 5_000 }, async (t) => {
    const egress = calling(t, { lookup: () => new Promise(() => undefined) });
    await assert.rejects(egress.request(A, asking("http://localhost:1/", { timeoutMs: 20 })), { code: "upstream_timeout" });
  });

  test("ends with the caller's own reason when the caller ends it", async (t) => {
    const abort = new AbortController();
    const reason = new Error("the session was closed");
    const at = await answering(t, () => abort.abort(reason));
    await assert.rejects(development.request(A, asking(at.url, { signal: abort.signal })), reason);
    await assert.rejects(development.request(A, asking(at.url, { signal: abort.signal })), reason);
    assert.equal(at.seen.length, 1);
  });

  test("ends its connection when the body is left unread", async (t) => {
    const closed = Promise.withResolvers<void>();
    const at = await answering(t, (socket) =>
      socket.once("close", () => closed.resolve()).write("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhello"),
    );
    for await (const piece of (await development.request(A, asking(at.url))).body) {
      assert.equal(piece.length, 5);
      break;
    }
    await closed.promise;
  });

  test("is refused once too many wait for the same address", async (t) => {
    const at = await answering(t, "");
    const egress = calling(t);
    const waiting = Promise.allSettled(
      Array.from({ length: POOL_CONNECTIONS_MAX + POOL_WAITING_MAX }, () => egress.request(A, asking(at.url))),
    );
    await assert.rejects(egress.request(A, asking(at.url)), { code: "overloaded" });
    const other = await answering(t, HELLO);
    const answer = await egress.request(B, asking(other.url));
    assert.equal((await answer.bytes()).length, 5);
    await egress.close();
    assert.ok((await waiting).every(({ status }) => status === "rejected"));
  });

  test("is refused after the client was closed", async (t) => {
    const egress = calling(t);
    await egress.close();
    await assert.rejects(egress.request(A, asking("http://localhost:1/")), { code: "dependency_unavailable" });
  });
});
