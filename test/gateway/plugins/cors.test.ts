import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { assertRefused, routeWith } from "./content-document.ts";

const LISTED = {
  allow_origins: "https://app.example.com,https://www.example.com",
  allow_methods: "GET,POST",
  allow_headers: "X-A",
  allow_credential: true,
};

describe("cors", () => {
  it("an origin that is listed may read, any other gets nothing, and caches are told", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(t, routeWith(echo.node, { cors: LISTED }));
    const own = await send("/x", { as: "acme", headers: { origin: "https://app.example.com" } });
    assert.equal(own.headers["access-control-allow-origin"], "https://app.example.com");
    assert.equal(own.headers["access-control-allow-credentials"], "true");
    assert.match(String(own.headers["vary"]), /\bOrigin\b/);
    for (const origin of ["https://evil.example.net", "https://app.example.com.evil.net", "null", "HTTPS://APP.EXAMPLE.COM"]) {
      const other = await send("/x", { as: "acme", headers: { origin } });
      assert.equal(other.status, 200);
      assert.equal(other.headers["access-control-allow-origin"], undefined, origin);
      assert.match(String(other.headers["vary"]), /\bOrigin\b/);
    }
  });

  it("answers preflights before anything asks for a credential, and only preflights", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(t, routeWith(echo.node, { cors: LISTED }));
    const headers = { origin: "https://www.example.com", "access-control-request-method": "POST" };
    const preflight = await send("/x", { method: "OPTIONS", headers });
    assert.equal(preflight.status, 200);
    assert.equal(preflight.headers["access-control-allow-methods"], "GET,POST");
    assert.equal(preflight.headers["access-control-max-age"], "5");
    assert.equal(echo.received.length, 0);
    assert.equal((await send("/x", { method: "OPTIONS", as: "acme" })).echoed().method, "OPTIONS");
  });

  it("a pattern fits the whole origin; in the apisix profile a part is enough, and that is said", async (t) => {
    const echo = await startEcho(t);
    const document = routeWith(echo.node, { cors: { allow_origins_by_regex: ["https://.*\\.example\\.com"] } });
    const strict = await startPlane(t, document);
    const lenient = await startPlane(t, document, { profile: "apisix" });
    const allowed = async (plane: typeof strict, origin: string): Promise<unknown> =>
      (await plane.send("/x", { as: "acme", headers: { origin } })).headers["access-control-allow-origin"];
    assert.equal(await allowed(strict, "https://a.example.com"), "https://a.example.com");
    assert.equal(await allowed(strict, "https://a.example.com.evil.net"), undefined);
    assert.equal(await allowed(lenient, "https://a.example.com.evil.net"), "https://a.example.com.evil.net");
    assert.match(lenient.warnings.join("\n"), /not held by \^ and \$/);
  });

  it("wrong settings are refused with what is wrong", () => {
    assertRefused("cors", { allow_origins: "*,http://y.com" }, /property "allow_origins" validation failed: failed to match pattern/);
    assertRefused("cors", { allow_credential: true }, /you can not set '\*' for other option when 'allow_credential' is true/);
    const reflecting = { allow_origins: "**", allow_methods: "**", allow_headers: "**", allow_credential: true };
    assertRefused("cors", reflecting, /any page of the web may call/);
    assertRefused("cors", { allow_origins_by_regex: ["(a"] }, /cannot be used/);
  });
});
