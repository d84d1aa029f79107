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
endOnTrap();
const send = (message: FromWorker, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);

port.on("message", (message: ToWorker) => {
  if (message.type === "close") {
    void database.close().then(() => send({ type: "closed" }));
    return;
  }
  exchange(message.bytes).then(
    (bytes) => send({ type: "answer", id: message.id, bytes }, [bytes.buffer]),
    (error: unknown) => send({ type: "failure", message: error instanceof Error ? error.message : JSON.stringify(error) }),
  );
});
send({ type: "ready" });

/**
 * The answer to these messages, in memory of its own. The plain call of PGlite would also read the answer and keep what it read for
 * good, so that memory grows with every statement, to gigabytes (measured); the one that streams hands over the bytes alone.
 */
async function exchange(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  // a piece is a view of the engine's memory, which the next one overwrites
  await database.execProtocolRawStream(bytes, { syncToFs: false, onRawData: (piece) => void pieces.push(piece.slice()) });
  const whole = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/**
 * PGlite goes on with the next message after any exception in the engine. That is right for the engine's own jump out of a failed
 * statement. After anything else (a stack overflow, memory at its end) it would answer as if all were well, and commit half a statement:
 * then this thread ends at once, and what was not committed is undone when the folder is opened again.
 */
/* oxlint-disable no-underscore-dangle -- the engine exports its functions under such names */
function endOnTrap(): void {
  const engine = database.Module;
  const once = engine._PostgresMainLoopOnce.bind(engine);
  engine._PostgresMainLoopOnce = () => {
    try {
      once();
    } catch (error) {
      if (!isStatementError(error)) process.exit(1); // ends this thread only
      throw error;
    }
  };
}

/* oxlint-enable no-underscore-dangle */

/** Whether this is how the engine, written in C, leaves a statement that failed (PGlite: POSTGRES_MAIN_LONGJMP). */
function isStatementError(error: unknown): boolean {
  return typeof error === "object" && error !== null && "status" in error && error.status === 100;
}
