import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

/** A new folder that is removed with everything else on the stack. */
export function temporaryFolder(ends: AsyncDisposableStack): string {
  const folder = mkdtempSync(path.join(tmpdir(), "freehold-bench-"));
  ends.defer(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
