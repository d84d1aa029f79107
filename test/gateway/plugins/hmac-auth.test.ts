import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { describe, it } from "node:test";
import { createManualClock } from "../../support/clock.ts";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { assertProblem, consumersOf, documentOf } from "./access-document.ts";

const CREDENTIALS = { acme: { key_id: "a", secret_key: "secret of acme" }, globex: { key_id: "g", secret_key: "secret of globex" } };

interface Signing {
  readonly keyId?: string;
  readonly secret?: string;
  readonly algorithm?: string;
  readonly target?: string;
  readonly date?: string;
}

function signed(
  date: string,
  { keyId = "a", secret = "secret of acme", algorithm = "sha256", target = "/x?q=1", date: said = date }: Signing = {},
) {
  const text = `${keyId}\nGET ${target}\ndate: ${date}\n`;
  const signature = createHmac(algorithm, secret).update(text).digest("base64");
  const authorization = `Signature keyId="${keyId}",algorithm="hmac-${algorithm}",headers="@request-target date",signature="${signature}"`;
  return { headers: { authorization, date: said } };
}

describe("hmac-auth", () => {
  it("a signature over the request proves its tenant; any other request, key, time or algorithm does not", async (t) => {
    const echo = await startEcho(t);
    const clock = createManualClock();
    const settings = { allowed_algorithms: ["hmac-sha256"], signed_headers: ["date", "@request-target"], clock_skew: 60 };
    const document = documentOf(echo.node, { "hmac-auth": settings }, consumersOf("hmac-auth", CREDENTIALS));
    const { send } = await startPlane(t, document, { ports: { clock } });
    const at = (seconds: number): string => new Date(clock.now() + seconds * 1000).toUTCString();
    assert.equal((await send("/x?q=1", signed(at(0)))).echoed().headers["x-tenant-id"], "acme");
    assert.equal((await send("/x?q=1", signed(at(-60)))).status, 200);
    const refused = [
      signed(at(-61)),
      signed(at(61)),
      signed(at(0), { secret: "secret of globex" }),
      signed(at(0), { keyId: "g" }),
      signed(at(0), { algorithm: "sha1" }),
      signed(at(0), { target: "/x?q=2" }),
      signed(at(0), { date: at(1) }),
      { headers: { authorization: "Signature", date: at(0) } },
      {},
    ];
    for (const request of refused) assertProblem(await send("/x?q=1", request), 401, "unauthenticated");
    assert.equal(echo.received.length, 2);
  });

  it("with `validate_request_body` the body has to be the one of the digest", async (t) => {
    const echo = await startEcho(t);
    const settings = { signed_headers: [], validate_request_body: true, max_req_body_size: 16 };
    const { send } = await startPlane(t, documentOf(echo.node, { "hmac-auth": settings }, consumersOf("hmac-auth", CREDENTIALS)));
    const date = new Date().toUTCString();
    const post = (body: string, digested: string) => {
      const digest = `SHA-256=${createHash("sha256").update(digested).digest("base64")}`;
      const signature = createHmac("sha512", "secret of acme").update(`a\ndate: ${date}\ndigest: ${digest}\n`).digest("base64");
      const authorization = `Signature keyId="a",algorithm="hmac-sha512",headers="date digest",signature="${signature}"`;
      return send("/x", { method: "POST", body, headers: { authorization, date, digest } });
    };
    assert.equal((await post("body", "body")).echoed().body, "body");
    assertProblem(await post("other", "body"), 401, "unauthenticated");
    assertProblem(await post("more than 16 bytes", "more than 16 bytes"), 413, "body_too_large");
    assert.equal(echo.received.length, 1);
  });
});
