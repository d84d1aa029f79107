import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { format, inspect } from "node:util";
import { Secret } from "../../src/kernel/index.ts";

const VALUE = "s3cret-canary-value";

function careless(token: string): string {
  return `Bearer ${token} ${"".concat(token)} ${[token].join("")}`;
}

describe("a secret", () => {
  test("prints nowhere, whatever it is printed with", () => {
    const secret = new Secret(VALUE);
    const inside = { list: [secret], map: new Map([["key", secret]]), set: new Set([secret]), error: new Error("x", { cause: secret }) };
    const printed = [
      String(secret),
      careless(secret as unknown as string), // as code without types would use it
      JSON.stringify(secret),
      JSON.stringify(inside),
      JSON.stringify(Object.assign({}, secret)),
      inspect(secret),
      inspect(secret, { showHidden: true, depth: Infinity, showProxy: true, getters: true, customInspect: false }),
      inspect(inside, { showHidden: true, depth: Infinity }),
      format("%s %o %O %j %d", secret, secret, secret, secret, secret),
      Object.entries(secret).join(),
      Reflect.ownKeys(secret).join(),
      JSON.stringify(structuredClone(Object.assign({}, secret))),
    ];
    for (const text of printed) assert.ok(!text.includes(VALUE), text);
    assert.equal(String(secret), "[secret]");
    assert.equal(JSON.stringify({ token: secret }), '{"token":"[secret]"}');
    assert.equal(inspect({ token: secret }), "{ token: [secret] }");
  });

  test("gives its value to who asks for it by name", () => {
    assert.equal(new Secret(VALUE).reveal(), VALUE);
  });
});
