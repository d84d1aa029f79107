import type { MessageEnd } from "../tenancy/limits/index.ts";
import type { FromProcess, ToProcess } from "./processes.ts";

/** The other processes of the same installation on this machine, as one of them sees them. */
export interface Siblings {
  /** This process's place; the first one sets up what all need. */
  readonly place: number;
  /** Says that this process takes requests. */
  ready(urls: { readonly url: string; readonly adminUrl: string }, text: string): void;
  /** The metrics of all others. Those that do not answer in time are left out. */
  metrics(): Promise<readonly string[]>;
  /** The way to the process that keeps the counters which all share. */
  readonly ledgerEnd: MessageEnd;
  /** How many there are. */
  readonly count: number;
  /** Gives this process's metrics to others that ask. */
  onMetrics(read: () => Promise<string>): void;
}

const ANSWER_TIMEOUT_MS = 2_000;

/** The siblings of a process that was started as one of several; undefined for one that runs alone. */
export function findSiblings(place: string | undefined, count: number): Siblings | undefined {
  if (place === undefined || process.send === undefined) return undefined;
  const waiting = new Map<number, (texts: readonly string[]) => void>();
  let read: (() => Promise<string>) | undefined;
  let asked = 0;
  const tell = (message: FromProcess): void => void process.send?.(message);
  process.on("message", (message: ToProcess) => {
    // the counters' messages come over the same channel and have no kind
    if (message.kind === "metrics") waiting.get(message.id)?.(message.texts);
    else if (message.kind === "ask-metrics" && read) {
      const { id } = message;
      read().then(
        (text) => tell({ kind: "metrics", id, text }),
        () => tell({ kind: "metrics", id, text: "[]" }),
      );
    }
  });
  return {
    place: Number(place),
    count,
    ledgerEnd: {
      send: (message) => void process.send?.(message),
      onMessage(listener) {
        process.on("message", listener);
        return () => void process.off("message", listener);
      },
    },
    ready: (urls, text) => tell({ kind: "ready", ...urls, text }),
    onMetrics: (reader) => void (read = reader),
    metrics: () =>
      new Promise((resolve) => {
        const id = ++asked;
        const finish = (texts: readonly string[]): void => {
          clearTimeout(timer);
          waiting.delete(id);
          resolve(texts);
        };
        const timer = setTimeout(() => finish([]), ANSWER_TIMEOUT_MS);
        waiting.set(id, finish);
        tell({ kind: "ask-metrics", id });
      }),
  };
}
