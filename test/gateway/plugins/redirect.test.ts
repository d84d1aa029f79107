import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { assertRefused, routeWith } from "./content-document.ts";

async function locationOf(
  t: Parameters<typeof startEcho>[0],
  settings: object,
): Promise<(path: string, method?: string) => Promise<[number, unknown]>> {
  const echo = await startEcho(t);
  const { send } = await startPlane(t, routeWith(echo.node, { redirect: settings }));
  return async (path, method = "GET") => {
    const { status, headers } = await send(path, { method, as: "acme", headers: { host: "shop.example.com" } });
    return [status, headers["location"]];
  };
}

describe("redirect", () => {
  it("sends to a template, with the query where that is asked for", async (t) => {
    const at = await locationOf(t, { uri: "$uri/new?from=${arg_a}", append_query_string: true });
    assert.deepEqual(await at("/x?a=1"), [302, "/x/new?from=1&a=1"]);
    const moved = await locationOf(t, { uri: "https://$host.net$request_uri", ret_code: 308 });
    assert.deepEqual(await moved("/x?a=1"), [308, "https://shop.example.com.net/x?a=1"]);
  });

  it("sends to what a pattern makes of the path, and goes on where it does not fit", async (t) => {
    const at = await locationOf(t, { regex_uri: ["^/old/(.*)", "https://new.example.com/${1}"], ret_code: 301 });
    assert.deepEqual(await at("/old/a"), [301, "https://new.example.com/a"]);
    assert.deepEqual(await at("/other"), [200, undefined]);
  });

  it("sends to the encrypted address so that a POST stays a POST", async (t) => {
    const at = await locationOf(t, { http_to_https: true });
    assert.deepEqual(await at("/x"), [301, "https://shop.example.com/x"]);
    assert.deepEqual(await at("/x", "POST"), [308, "https://shop.example.com/x"]);
  });

  it("what a caller puts into the address begins no other header field", async (t) => {
    const at = await locationOf(t, { uri: "https://example.com/$arg_to" });
    assert.deepEqual(await at("/x?to=a%0d%0aset-cookie:%20a=1"), [302, "https://example.com/a%0D%0Aset-cookie:%20a=1"]);
  });

  it("wrong settings are refused with what is wrong", () => {
    assertRefused("redirect", { uri: "/a", http_to_https: true }, /value should match only one schema, but matches both schemas 1 and 3/);
    assertRefused("redirect", { http_to_https: true, append_query_string: true }, /only one of `http_to_https` and `append_query_string`/);
    assertRefused("redirect", { regex_uri: ["^/(a", "/b"] }, /invalid regex_uri \(\^\/\(a, \/b\), err:/);
    assertRefused("redirect", { uri: "/a\r\nSet-Cookie: b" }, /invalid character in uri/);
  });
});
