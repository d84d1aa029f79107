import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseSettings } from "../../src/cli/settings.ts";
import { Fault } from "../../src/kernel/index.ts";

const KMS = { kind: "aws-kms", region: "eu-central-1", keyId: "alias/freehold" };
const TRANSIT = { kind: "transit", address: "https://vault.example.com:8200", keyName: "freehold" };
const S3 = { kind: "s3", region: "eu-central-1", bucket: "files" };

describe("the settings of the stores", () => {
  test("say nothing and everything is in the data folder and in memory", () => {
    const { vault, cache, files } = parseSettings({}, "test");
    assert.deepEqual(vault, { roots: [], keyTtlMs: 60_000 });
    assert.deepEqual(cache, { kind: "memory", bytesMax: 67_108_864, bytesPerTenantMax: 8_388_608 });
    assert.deepEqual(files, { kind: "folder" });
  });

  test("take every kind of root key, cache and place of files", () => {
    for (const settings of [
      { vault: { roots: [KMS, TRANSIT, { kind: "local", keyEnv: "OLD_KEY" }], keyTtlMs: 5_000 } },
      { vault: { roots: [{ ...TRANSIT, address: "http://127.0.0.1:8200", mount: "a/b", namespace: "eu/prod" }] } },
      { cache: { kind: "redis", url: "rediss://user:secret@redis.example.com" } },
      { cache: { kind: "memory", bytesMax: 1_000_000, bytesPerTenantMax: 1_000_000 } },
      { files: { kind: "folder", folder: "/srv/files" } },
      { files: { ...S3, prefix: "" } },
      { files: { kind: "folder", own: { ...S3, bucket: "freehold-{tenant}" } } },
      { files: { ...S3, own: { kind: "folder", folder: "/mnt/tenants" } } },
      { files: { ...S3, bucket: "freehold-{tenant}", endpoint: "https://minio.example.com" } },
    ]) {
      parseSettings(settings, "test");
    }
  });

  test("are refused with their place where they are wrong, and no secret can stand in them", () => {
    for (const [settings, place] of [
      [{ vault: { roots: [{ ...KMS, secretAccessKey: "x" }] } }, "vault.roots.0"],
      [{ vault: { roots: [{ ...KMS, secretAccessKeyEnv: "not a name" }] } }, "vault.roots.0.secretAccessKeyEnv"],
      [{ vault: { roots: [{ ...KMS, region: "../x" }] } }, "vault.roots.0.region"],
      [{ vault: { roots: [{ ...KMS, endpoint: "http://kms.example.com" }] } }, "vault.roots.0.endpoint"],
      [{ vault: { roots: [{ ...TRANSIT, address: "https://vault.example.com/v1" }] } }, "vault.roots.0.address"],
      [{ vault: { roots: [{ ...TRANSIT, token: "hvs.x" }] } }, "vault.roots.0"],
      [{ vault: { roots: [{ ...TRANSIT, mount: "../sys" }] } }, "vault.roots.0.mount"],
      [{ vault: { roots: [{ kind: "local", key: "00" }] } }, "vault.roots.0"],
      [{ vault: { keyTtlMs: 3_600_001 } }, "vault.keyTtlMs"],
      [{ cache: { kind: "redis", url: "http://redis" } }, "cache.url"],
      [{ cache: { kind: "memory", bytesMax: 1 } }, "cache.bytesMax"],
      [{ files: { ...S3, bucket: "Upper" } }, "files.bucket"],
      [{ files: { ...S3, bucket: `${"x".repeat(30)}{tenant}` } }, "files.bucket"],
      [{ files: { ...S3, bucket: "{tenant}{tenant}" } }, "files.bucket"],
      [{ files: { ...S3, prefix: "../" } }, "files.prefix"],
      [{ files: { kind: "ftp" } }, "files.kind"],
      [{ files: { kind: "folder", own: S3 } }, "files.own.bucket"],
      [{ files: { kind: "folder", own: { kind: "folder" } } }, "files.own.folder"],
    ] as const) {
      assert.throws(
        () => parseSettings(settings, "test"),
        (error) => error instanceof Fault && error.code === "invalid_settings" && (error.public.detail ?? "").includes(`${place}: `),
        JSON.stringify(settings),
      );
    }
  });
});
