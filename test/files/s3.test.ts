import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { Secret, systemClock } from "../../src/kernel/index.ts";
import { createS3Engine, type SendToS3 } from "../../src/stores/files/index.ts";
import { createAwsClient, createOutbound } from "../../src/wire/index.ts";
import { pieces, readAll, s3Engine } from "./files-under-test.ts";
import { S3_IDENTITY, type S3Server, startS3 } from "./s3-server.ts";

const BUCKET = "bucket-of-the-test";
const A = "018f0000-0000-7000-8000-00000000000a";
const B = "018f0000-0000-7000-8000-00000000000b";
const MIB = 1024 * 1024;
let count = 0;
const object = (): string => `018f0000-0000-7000-8000-${String(++count).padStart(12, "0")}`;

describe("files in S3", () => {
  let server: S3Server;
  let engine: ReturnType<typeof s3Engine>;
  before(async () => {
    server = await startS3(BUCKET);
    engine = s3Engine(server, BUCKET);
  });
  after(async () => {
    await engine.close();
    server.close();
  });

  test("of any size arrive as they were sent, in one request or in parts", async () => {
    for (const bytes of [0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 17 * MIB]) {
      const [id, content] = [object(), randomBytes(bytes)];
      await engine.write(A, id, pieces(content.subarray(0, bytes / 2), content.subarray(bytes / 2)));
      if (bytes > 0) assert.ok((await readAll(engine.read(A, id, 0, bytes))).equals(content), String(bytes));
      await engine.remove(A, id);
    }
    assert.deepEqual(await engine.count(A), { items: 0, bytes: 0 });
    assert.deepEqual(server.problems, []);
  });

  test("are sent again when the service is busy, and fail with a clear word when it stays so or is away", async () => {
    let refusals = 2;
    server.busy = () => refusals-- > 0;
    const id = object();
    await engine.write(A, id, pieces("content"));
    assert.equal((await readAll(engine.read(A, id, 0, 7))).toString(), "content");
    server.busy = () => true;
    await assert.rejects(engine.write(A, object(), pieces("content")), { code: "dependency_unavailable" });
    server.busy = () => false;
    server.down = true;
    await assert.rejects(readAll(engine.read(A, id, 0, 7)), { code: "dependency_unavailable" });
    await assert.rejects(engine.erase(A), { code: "dependency_unavailable" });
    server.down = false;
    await engine.erase(A);
  });

  test("leave no parts behind of an upload that was killed, when it is removed or the tenant erased", async () => {
    const killed = async function* (): AsyncGenerator<Uint8Array> {
      yield randomBytes(9 * MIB);
      yield randomBytes(9 * MIB);
      throw new Error("killed");
    };
    for (const end of [(id: string) => engine.remove(A, id), () => engine.erase(A)]) {
      const ids = Array.from({ length: 4 }, object);
      for (const id of ids) await assert.rejects(engine.write(A, id, killed()), /killed/);
      await engine.write(B, ids[0] ?? "", pieces("of b"));
      assert.equal((await engine.count(A)).items, 3, "a page of them is seen");
      for (const id of ids) await end(id);
      assert.deepEqual(await engine.count(A), { items: 0, bytes: 0 });
      assert.equal(server.buckets.get(BUCKET)?.uploads.size, 0);
      assert.equal((await engine.count(B)).items, 1);
      await engine.erase(B);
    }
  });

  test("of one tenant are erased alone, however many there are, and whatever a listing says", async () => {
    for (let n = 0; n < 8; n++) {
      await engine.write(A, object(), pieces("of a"));
      await engine.write(B, object(), pieces("of b"));
    }
    const outbound = createOutbound();
    const { accessKeyId, secretAccessKey, region } = S3_IDENTITY;
    const send = createAwsClient(
      { service: "s3", region, credentials: { accessKeyId, secretAccessKey: new Secret(secretAccessKey) } },
      { outbound, clock: systemClock },
    );
    const lying: SendToS3 = async (request) => {
      const answer = await send(request);
      return { ...answer, body: Buffer.from(Buffer.from(answer.body).toString().replaceAll(`<Key>freehold/${A}/`, `<Key>freehold/${B}/`)) };
    };
    const settings = { endpoint: server.url, region, bucket: BUCKET, prefix: "freehold/" };
    await assert.rejects(createS3Engine(settings, lying).erase(A), { code: "isolation_violation" });
    assert.equal((await engine.count(B)).items, 8);
    await engine.erase(A);
    assert.deepEqual([(await engine.count(A)).items, (await engine.count(B)).items], [0, 8]);
    await outbound.close();
    assert.deepEqual(server.problems, []);
  });

  test("are refused to whoever signs with another secret", async () => {
    const outbound = createOutbound();
    const credentials = { accessKeyId: S3_IDENTITY.accessKeyId, secretAccessKey: new Secret("another") };
    const send = createAwsClient({ service: "s3", region: S3_IDENTITY.region, credentials }, { outbound, clock: systemClock });
    const stranger = createS3Engine({ endpoint: server.url, region: S3_IDENTITY.region, bucket: BUCKET, prefix: "freehold/" }, send);
    await assert.rejects(stranger.count(B), { code: "dependency_unavailable" });
    assert.ok(server.problems.length > 0);
    await outbound.close();
  });
});
