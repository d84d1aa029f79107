import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import { toFault } from "../../src/kernel/index.ts";
import { IDENTITY, type KmsServer, PLATFORM_KEY, REGION, startKms } from "./kms-server.ts";
import { kmsRoots, ROOT_PLACES, type RootPlace, transitRoots } from "./root-keys.ts";
import { startTransit, TOKEN, type TransitServer } from "./transit-server.ts";
import { signatureOf } from "../support/sigv4.ts";

const BINDING = { tenant: "018f0000-0000-7000-8000-00000000000a", purpose: "secrets", version: 1 };
const unavailable = { name: "Fault", code: "dependency_unavailable" };

for (const [name, open] of Object.entries(ROOT_PLACES)) {
  describe(`root keys: ${name}`, () => {
    let place: RootPlace;
    before(async () => {
      place = await open();
    });
    after(() => place.close());

    test("give back what they wrapped", async () => {
      const dataKey = randomBytes(32);
      const wrapped = await place.roots.wrap(dataKey, BINDING);
      assert.deepEqual(await place.roots.unwrap(wrapped, BINDING), dataKey);
      assert.equal(wrapped.root, await place.roots.inForce());
      assert.ok(wrapped.root.startsWith(`${place.roots.kind}:`));
      assert.ok(!Buffer.from(wrapped.bytes).includes(dataKey));
    });

    test("unwrap for no other tenant, purpose or version, and nothing that was changed", async () => {
      const wrapped = await place.roots.wrap(randomBytes(32), BINDING);
      for (const other of [{ tenant: `${BINDING.tenant.slice(0, -1)}b` }, { purpose: "files" }, { version: 2 }]) {
        await assert.rejects(place.roots.unwrap(wrapped, { ...BINDING, ...other }), unavailable);
      }
      const bytes = Buffer.from(wrapped.bytes);
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 4;
      await assert.rejects(place.roots.unwrap({ ...wrapped, bytes }, BINDING), unavailable);
      await assert.rejects(place.roots.unwrap({ ...wrapped, bytes: Buffer.alloc(0) }, BINDING), unavailable);
    });

    test("still unwrap after the root key became another, and wrap under the new one", async () => {
      const dataKey = randomBytes(32);
      const wrapped = await place.roots.wrap(dataKey, BINDING);
      const rotated = place.rotate();
      assert.notEqual(await rotated.inForce(), wrapped.root);
      assert.deepEqual(await rotated.unwrap(wrapped, BINDING), dataKey);
      const next = await rotated.wrap(dataKey, BINDING);
      assert.equal(next.root, await rotated.inForce());
      assert.deepEqual(await rotated.unwrap(next, BINDING), dataKey);
    });

    test("that cannot be reached say so, and show nothing of the key", async () => {
      if (!place.cut) return; // in the process itself
      const dataKey = randomBytes(32);
      const wrapped = await place.roots.wrap(dataKey, BINDING);
      place.cut(true);
      for (const call of [place.roots.wrap(dataKey, BINDING), place.roots.unwrap(wrapped, BINDING)]) {
        const error = await call.then(() => assert.fail("reached"), toFault);
        assert.equal(error.code, "dependency_unavailable");
        const shown = inspect(error, { depth: 9, showHidden: true });
        for (const form of [dataKey.toString("base64"), dataKey.toString("hex"), TOKEN, IDENTITY.secretAccessKey]) {
          assert.ok(!shown.includes(form));
        }
      }
      place.cut(false);
      assert.deepEqual(await place.roots.unwrap(wrapped, BINDING), dataKey);
    });

    test("are asked as their service wants it", () => assert.deepEqual(place.problems(), []));
  });
}

describe("a tenant's own root key", () => {
  let kms: KmsServer;
  let transit: TransitServer;
  before(async () => {
    [kms, transit] = [await startKms(), await startTransit()];
  });
  after(() => {
    kms.close();
    transit.close();
  });

  test("in AWS KMS is the ARN of a key in the region that is asked, and never the installation's", async () => {
    const roots = kmsRoots(kms);
    const good = `arn:aws:kms:${REGION}:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab`;
    roots.checkOwn(good);
    const bad = [
      PLATFORM_KEY,
      "alias/somebody",
      `arn:aws:kms:${REGION}:444455556666:alias/x`,
      good.replace(REGION, "us-east-1"),
      `${good}/../x`,
      `${good}\n`,
      "",
      "https://attacker.example",
    ];
    for (const own of bad) assert.throws(() => roots.checkOwn(own), { code: "invalid_settings" }, own);
    await roots.close();
  });

  test("in Transit is a plain name, and never the installation's", async () => {
    const roots = transitRoots(transit);
    roots.checkOwn("customer-1");
    for (const own of ["freehold", "../sys/seal", "a/b", "", "a b", "a?x", "-a", "é"]) {
      assert.throws(() => roots.checkOwn(own), { code: "invalid_settings" }, own);
    }
    await roots.close();
  });

  test("is not asked for by a caller without the token of the service", async () => {
    const server = await startTransit();
    const roots = transitRoots(server, "another token");
    await assert.rejects(roots.wrap(randomBytes(32), BINDING), unavailable);
    assert.equal(server.problems.length, 1);
    await roots.close();
    server.close();
  });
});

test("the signature that the stubs ask for is that of the published example", () => {
  // AWS documentation, "Create a signed AWS API request": the string to sign of its example for IAM
  const text = ["AWS4-HMAC-SHA256", "20150830T123600Z", "20150830/us-east-1/iam/aws4_request"].join("\n");
  const digest = "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
  assert.equal(
    signatureOf(`${text}\n${digest}`, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ["20150830", "us-east-1", "iam"]),
    "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
  );
});
