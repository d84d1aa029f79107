import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { buffer } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { Fault } from "../../kernel/index.ts";
import { decodeText, type DocumentType, parseContentType, type ReadDocument, unreadable } from "./document-types.ts";
import type { ReadingAnswer } from "./reading-program.ts";

/** Reads the text out of uploads. */
export interface DocumentReader {
  /**
   * The text of the upload. PDF and HTML are read by a process of their own, with bounds of memory and time and nothing to write to: nobody knows what
   * is in them, and a thread that runs out of memory takes its process along. Throws `unsupported_media_type`; `malformed_request` for what cannot be
   * read, with the reason; `concurrency_exceeded` when the tenant has another one being read; `overloaded`; or the signal's reason.
   */
  read(tenant: string, contentType: string | undefined, bytes: Uint8Array, signal: AbortSignal): Promise<ReadDocument>;
}

const PROGRAM = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "./reading-program.ts" : "./reading-program.js", import.meta.url));
/** Processes that read at the same time, each for another tenant, and how many may wait for one. */
const READING_MAX = 2;
const WAITING_MAX = 20;
const READING_MS_MAX = 15_000;
const HEAP_MIB_MAX = 384;
/** What is unpacked is not on the heap. */
const MEMORY_BYTES_MAX = 1024 * 1024 * 1024;
const LOOK_MS = 50;
const PAGE_BYTES = 4_096;
const TOO_COMPLEX = "The document cannot be read: it is too complex.";

/** A reader with bounds of its own. */
export function createDocumentReader(): DocumentReader {
  const busy = new Set<string>();
  const waiting: (() => void)[] = [];
  let reading = 0;
  const enter = async (): Promise<void> => {
    if (reading < READING_MAX) reading++;
    else if (waiting.length >= WAITING_MAX) throw new Fault("overloaded", "too many uploads wait to be read");
    else await new Promise<void>((resolve) => waiting.push(resolve)); // whoever leaves hands over the place
  };
  const leave = (): void => {
    const next = waiting.shift();
    if (next) next();
    else reading--;
  };
  return {
    async read(tenant, contentType, bytes, signal) {
      const { type, charset } = parseContentType(contentType);
      if (type === "text/plain" || type === "text/markdown") {
        const text = decodeText(bytes, charset);
        return { title: type === "text/markdown" ? firstHeading(text) : undefined, text };
      }
      const content = type === "text/html" ? Buffer.from(decodeText(bytes, charset)) : bytes;
      if (busy.has(tenant)) throw oneAtATime();
      busy.add(tenant);
      try {
        await enter();
        try {
          return await readApart(type, content, signal);
        } finally {
          leave();
        }
      } finally {
        busy.delete(tenant);
      }
    },
  };
}

async function readApart(type: DocumentType, content: Uint8Array, signal: AbortSignal): Promise<ReadDocument> {
  signal.throwIfAborted();
  const child = spawn(process.execPath, [`--max-old-space-size=${HEAP_MIB_MAX}`, "--permission", "--allow-fs-read=*", PROGRAM], {
    env: {}, // nothing of this process is there to be found
    stdio: "pipe",
  });
  const stop = AbortSignal.any([signal, AbortSignal.timeout(READING_MS_MAX)]);
  const kill = (): void => void child.kill("SIGKILL");
  stop.addEventListener("abort", kill, { once: true });
  const looking = setInterval(() => {
    if (memoryOf(child) > MEMORY_BYTES_MAX) kill();
  }, LOOK_MS);
  try {
    const answer = await answerOf(child, type, content);
    signal.throwIfAborted();
    if ("unreadable" in answer) throw unreadable(answer.unreadable);
    return answer;
  } finally {
    clearInterval(looking);
    stop.removeEventListener("abort", kill);
    kill();
  }
}

/** What the process says before it ends. One that ends without an answer was ended, or ran out of something. */
async function answerOf(child: ChildProcessWithoutNullStreams, type: DocumentType, content: Uint8Array): Promise<ReadingAnswer> {
  child.on("error", () => {}); // one that could not be started gives no answer
  child.stdin.on("error", () => {}); // one that ended takes no more
  child.stderr.resume();
  child.on("spawn", () => giveWay(child));
  child.stdin.write(`${type}\n`);
  child.stdin.end(content);
  const said = await buffer(child.stdout);
  if (said.length === 0) throw unreadable(TOO_COMPLEX);
  return parseAnswer(said.toString());
}

function parseAnswer(said: string): ReadingAnswer {
  try {
    return JSON.parse(said) as ReadingAnswer; // the program prints it in one piece
  } catch {
    throw unreadable(TOO_COMPLEX); // it was ended while it printed
  }
}

/** Whoever is served at the moment goes first. */
function giveWay({ pid }: ChildProcessWithoutNullStreams): void {
  try {
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // it has ended, or the system does not let us: then it competes
  }
}

/** Memory of the process that is in use, where the system says so; 0 elsewhere, where time alone bounds it. */
function memoryOf({ pid }: ChildProcessWithoutNullStreams): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]) * PAGE_BYTES;
  } catch {
    return 0;
  }
}

function firstHeading(text: string): string | undefined {
  return /^#{1,6}[ \t]+(.+?)[ \t#]*$/m.exec(text)?.[1];
}

function oneAtATime(): Fault {
  const detail = "Another document of the tenant is being read. Send one after the other.";
  return new Fault("concurrency_exceeded", detail, { public: { detail, retryAfterMs: 1_000 } });
}
