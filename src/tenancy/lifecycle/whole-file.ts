import { open, rename, rm } from "node:fs/promises";

/** Writes a file whole or not at all, readable by its owner only, kept for good when this returns. Gives its bytes. */
export async function writeWholeFile(file: string, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<number> {
  const unfinished = `${file}.part`;
  const handle = await open(unfinished, "w", 0o600);
  let bytes = 0;
  try {
    for await (const piece of pieces) {
      await handle.appendFile(piece);
      bytes += piece.length;
    }
    await handle.datasync();
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  await rename(unfinished, file);
  return bytes;
}
