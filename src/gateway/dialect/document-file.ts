import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { type Fault, toFault } from "../../kernel/index.ts";
import { type DocumentText, toDocumentText } from "./document-text.ts";

const POLL_MS = 1_000;

/** A settings file that is read again when it changes. */
export interface DocumentFile {
  /** What the file has now. Throws `invalid_settings` when it is too large. */
  read(): Promise<DocumentText>;
  /** Calls `changed` when the file's time or size is another than at the last reading. */
  watch(changed: () => Promise<void>, report: (fault: Fault) => void): void;
  close(): void;
}

/** The file at this path: JSON when its name says so, else YAML. */
export function openDocumentFile(file: string): DocumentFile {
  let seen = "";
  let timer: NodeJS.Timeout | undefined;
  return {
    async read() {
      seen = stampOf(file);
      return toDocumentText(await readFile(file), file.endsWith(".json") ? "json" : "yaml", { trusted: true });
    },
    watch(changed, report) {
      let busy = false;
      timer = setInterval(() => {
        if (busy || stampOf(file) === seen) return;
        busy = true;
        changed()
          .catch((error: unknown) => report(toFault(error)))
          .finally(() => {
            busy = false;
          });
      }, POLL_MS).unref();
    },
    close: () => clearInterval(timer),
  };
}

/** A file that is not there has a stamp too: that it is gone is a change. */
function stampOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  return found ? `${found.mtimeMs} ${found.size} ${found.ino}` : "missing";
}
