import assert from "node:assert/strict";
import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { createFolderEngine } from "../../src/stores/files/index.ts";
import { temporaryFolder } from "../support/engines.ts";
import { pieces, readAll } from "./files-under-test.ts";

const TENANT = "018f0000-0000-7000-8000-00000000000a";
const OTHER = "018f0000-0000-7000-8000-00000000000b";
const OBJECT = "018f0000-0000-7000-8000-000000000001";
const foreign = { code: "isolation_violation" };

describe("the folder of files", () => {
  test("follows no link: not one in the place of an object, not a hard one, not one in the place of a tenant's folder", async () => {
    const root = temporaryFolder();
    const outside = path.join(temporaryFolder(), "outside");
    mkdirSync(outside);
    writeFileSync(path.join(outside, OBJECT), "of somebody else");
    const engine = await createFolderEngine(root);
    await engine.provision(TENANT);
    const object = path.join(root, TENANT, OBJECT);

    symlinkSync(path.join(outside, OBJECT), object);
    await assert.rejects(readAll(engine.read(TENANT, OBJECT, 0, 4)), foreign);
    await assert.rejects(engine.write(TENANT, OBJECT, pieces("overwritten")), { name: "Fault" });
    await engine.remove(TENANT, OBJECT);
    assert.deepEqual(readdirSync(path.join(root, TENANT)), []);

    linkSync(path.join(outside, OBJECT), object);
    await assert.rejects(readAll(engine.read(TENANT, OBJECT, 0, 4)), foreign);
    await engine.remove(TENANT, OBJECT);

    renameSync(path.join(root, TENANT), path.join(root, "away"));
    symlinkSync(outside, path.join(root, TENANT));
    for (const call of [
      () => readAll(engine.read(TENANT, OBJECT, 0, 4)),
      () => engine.write(TENANT, "018f0000-0000-7000-8000-000000000002", pieces("x")),
      () => engine.remove(TENANT, OBJECT),
      () => engine.provision(TENANT),
    ]) {
      await assert.rejects(call(), foreign);
    }
    assert.equal((await engine.count(TENANT)).items, 1, "what is in its place is seen");
    await engine.erase(TENANT);
    assert.deepEqual(readdirSync(outside), [OBJECT]);
    assert.equal(readFileSync(path.join(outside, OBJECT), "utf8"), "of somebody else");
    assert.equal((await engine.count(TENANT)).items, 0);
  });

  test("makes paths of ids alone", async () => {
    const engine = await createFolderEngine(temporaryFolder());
    for (const id of ["..", "../x", "", "a/b", `${TENANT}/..`, `${OBJECT}\0`]) {
      await assert.rejects(engine.write(id, OBJECT, pieces("x")), { code: "internal" }, id);
      await assert.rejects(engine.write(TENANT, id, pieces("x")), { code: "internal" }, id);
      await assert.rejects(engine.erase(id), { code: "internal" }, id);
    }
  });

  test("writes an object once, readable for nobody else on the machine", async () => {
    const root = temporaryFolder();
    const engine = await createFolderEngine(root);
    await engine.write(TENANT, OBJECT, pieces("first"));
    await assert.rejects(engine.write(TENANT, OBJECT, pieces("second")), { name: "Fault" });
    assert.equal((await readAll(engine.read(TENANT, OBJECT, 0, 5))).toString(), "first");
    await assert.rejects(readAll(engine.read(OTHER, OBJECT, 0, 5)), { code: "dependency_unavailable" });
    assert.equal(statSync(path.join(root, TENANT)).mode & 0o077, 0);
    assert.equal(statSync(path.join(root, TENANT, OBJECT)).mode & 0o077, 0);
  });
});
