/** The thread in which large gateway documents are read. */
import { setPriority } from "node:os";
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { toFault } from "../../kernel/index.ts";
import { PLUGINS } from "../plugins/index.ts";
import { fittedToPieces, PIECE_ITEMS, type Pieces, verdictToPieces } from "./document-pieces.ts";
import type { DocumentText } from "./document-text.ts";
import type { DocumentJob, DocumentThreadData, FromDocumentThread, ToDocumentThread, VariableRequest } from "./document-thread.ts";
import { DocumentWork } from "./document-work.ts";
import type { StoredObject } from "./fit-stored.ts";

/** Where requests and this thread want the same core, requests come first; only Linux has priorities of single threads. */
const NICENESS = 5;

const port = parentPort;
if (!port) throw new Error("this file is a worker thread");
if (process.platform === "linux") setPriority(NICENESS);

// checked by the thread that starts this one, which is ours
const { profile, variables, answered } = workerData as DocumentThreadData;
const work = new DocumentWork({
  profile,
  plugins: PLUGINS,
  variable: (name) => askFor({ name, stored: false }),
  storedVariable: (name) => askFor({ name, stored: true }),
});
let stored: StoredObject[] = [];
let pieces: Iterator<FromDocumentThread> = [].values();
const send = (message: FromDocumentThread): void => port.postMessage(message);

port.on("message", (message: ToDocumentThread) => {
  try {
    if (message.type === "stored") return void stored.push(...message.objects);
    if (message.type === "run") pieces = inTurn(run(message.job, message.text));
    send(pieces.next().value as FromDocumentThread); // nobody asks after the end
  } catch (error) {
    const { code, message: text, public: said } = toFault(error);
    send({ type: "fault", code, message: text, detail: said.detail });
  }
});

function run(job: DocumentJob, text: DocumentText | undefined): Pieces {
  const objects = stored;
  stored = [];
  if (job === "fit") return fittedToPieces(work.fit(text, objects));
  if (job === "check") return verdictToPieces(work.check(text, objects));
  if (job === "source") return { rest: work.source(text, objects), lists: [] };
  return { rest: undefined, lists: text ? [["objects", work.objects(text)]] : [] };
}

function* inTurn({ rest, lists }: Pieces): Generator<FromDocumentThread> {
  yield { type: "result", rest };
  for (const [list, items] of lists)
    for (let at = 0; at < items.length; at += PIECE_ITEMS) yield { type: "piece", list, items: items.slice(at, at + PIECE_ITEMS) };
  yield { type: "end" };
}

/** The value that the variable has in the thread that started this one, which alone may read the environment. */
function askFor(request: VariableRequest): string | undefined {
  Atomics.store(answered, 0, 0);
  variables.postMessage(request);
  Atomics.wait(answered, 0, 0);
  return (receiveMessageOnPort(variables) as { readonly message: string | undefined }).message; // it was posted before the wait ended
}
