import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { assertRefused, routeWith } from "./content-document.ts";

const AS = { as: "acme" };

describe("response-rewrite", () => {
  it("rewrites status and header fields and leaves the body alone", async (t) => {
    const echo = await startEcho(t);
    const headers = { add: ["X-Many: two"], set: { "X-Echo": "$request_method", "X-Number": 7 }, remove: ["Content-Type"] };
    const { send } = await startPlane(t, routeWith(echo.node, { "response-rewrite": { status_code: 201, headers } }));
    const reply = await send("/x", AS);
    assert.equal(reply.status, 201);
    assert.equal(reply.headers["x-many"], "two");
    assert.equal(reply.headers["x-echo"], "GET");
    assert.equal(reply.headers["x-number"], "7");
    assert.equal(reply.headers["content-type"], undefined);
    assert.equal(reply.echoed().target, "/x");
  });

  it("replaces the body, and what was said about the old one goes", async (t) => {
    const echo = await startEcho(t);
    echo.answer = (_received, response) =>
      response.writeHead(200, { etag: '"1"', "last-modified": "Thu, 01 Jan 1970 00:00:00 GMT" }).end("old");
    const body = Buffer.from("new body").toString("base64");
    const { send } = await startPlane(t, routeWith(echo.node, { "response-rewrite": { body, body_base64: true } }));
    const reply = await send("/x", AS);
    assert.equal(reply.text, "new body");
    assert.equal(reply.headers["etag"], undefined);
    assert.equal(reply.headers["content-length"], "8");
  });

  it("filters a body that comes in pieces, and only where the condition holds", async (t) => {
    const echo = await startEcho(t);
    echo.answer = ({ target }, response) => {
      response.writeHead(target === "/bad" ? 404 : 200, { "content-type": "text/plain" });
      response.write("my sec");
      response.end("ret and my secret");
    };
    const filters = [
      { regex: "secret", replace: "[$0]", scope: "global" },
      { regex: "^my", replace: "Your" },
    ];
    const { send } = await startPlane(t, routeWith(echo.node, { "response-rewrite": { filters, vars: [["status", "==", 200]] } }));
    assert.equal((await send("/good", AS)).text, "Your [secret] and my [secret]");
    assert.equal((await send("/bad", AS)).text, "my secret and my secret");
  });

  it("does not offer to compress when it filters, and leaves what came compressed all the same as it is", async (t) => {
    const echo = await startEcho(t);
    const packed = gzipSync("secret");
    echo.answer = (received, response) => {
      assert.equal(received.headers["accept-encoding"], undefined);
      response.writeHead(200, { "content-encoding": "gzip", "content-length": packed.length, etag: '"1"' }).end(packed);
    };
    const filters = [{ regex: ".", replace: "x", scope: "global" }];
    const { send } = await startPlane(t, routeWith(echo.node, { "response-rewrite": { filters } }));
    const reply = await send("/x", { ...AS, headers: { "accept-encoding": "gzip" } });
    assert.equal(reply.headers["content-encoding"], "gzip");
    assert.equal(reply.headers["etag"], '"1"');
    assert.equal(Number(reply.headers["content-length"]), packed.length);
  });

  it("a value with a line end begins no other field, and removals are done all the same", async (t) => {
    const echo = await startEcho(t);
    const headers = { set: { "X-Who": "$arg_who" }, remove: ["X-Echo"] };
    const { send } = await startPlane(t, routeWith(echo.node, { "response-rewrite": { headers } }));
    const reply = await send("/x?who=a%0d%0aset-cookie:%20stolen=1", AS);
    assert.equal(reply.status, 502);
    assert.equal(reply.headers["x-who"], undefined);
    assert.equal(reply.headers["set-cookie"], undefined);
    assert.equal(reply.headers["x-echo"], undefined);
    assert.equal(reply.text, "");
    assert.equal((await send("/x?who=bill", AS)).headers["x-who"], "bill");
  });

  it("wrong settings are refused with what is wrong", () => {
    const refused = (settings: object, message: RegExp): void => assertRefused("response-rewrite", settings, message);
    refused({ body: "a", filters: [{ regex: "a", replace: "b" }] }, /failed to validate dependent schema for "filters"/);
    refused({ filters: [{ regex: "a", replace: "b", options: "h" }] }, /regex "a" validation failed: unknown flag "h" \(flags "h"\)/);
    refused({ filters: [{ regex: "(a)\\1", replace: "b" }] }, /regex "\(a\)\\1" validation failed/);
    refused({ body: "not base64!", body_base64: true }, /invalid base64 content/);
    refused({ headers: { set: { "X-A": "1\r\n2" } } }, /invalid value character in header/);
    refused({ headers: { "Transfer-Encoding": "chunked" } }, /frames the message/);
    refused({ status_code: 200, vars: [["status", "!!", 1]] }, /failed to validate the 'vars' expression/);
  });
});
