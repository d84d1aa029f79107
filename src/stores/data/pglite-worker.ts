/** The thread in which the embedded database lives: a long statement stalls only here, and can be ended by ending the thread. */
import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";
import { parentPort, workerData } from "node:worker_threads";
import type { FromWorker, ToWorker } from "./pglite-server.ts";

const port = parentPort;
if (!port) throw new Error("this file is a worker thread");

// checked by the thread that starts this one, which is ours
const { folder } = workerData as { folder: string };
const database = await PGlite.create({ dataDir: folder, extensions: { vector }, postgresqlconf: ["shared_buffers=16MB"] });
const send = (message: FromWorker, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);

port.on("message", (message: ToWorker) => {
  if (message.type === "close") {
    void database.close().then(() => send({ type: "closed" }));
    return;
  }
  database.execProtocolRaw(message.bytes, { syncToFs: false }).then(
    (bytes) => {
      const copy = Uint8Array.from(bytes); // the result may be a view of the database's own memory
      send({ type: "answer", id: message.id, bytes: copy }, [copy.buffer]);
    },
    (error: unknown) => send({ type: "failure", id: message.id, message: error instanceof Error ? error.message : JSON.stringify(error) }),
  );
});
send({ type: "ready" });
