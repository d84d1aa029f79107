import type { SealPlace, TenantVault } from "../vault/index.ts";
import { SEALED_OVERHEAD_BYTES } from "../vault/index.ts";

/** Bytes of a file that are sealed together. They are the least that is read to give one. */
export const SEGMENT_BYTES = 64 * 1024;
const SEALED_BYTES = SEGMENT_BYTES + SEALED_OVERHEAD_BYTES;

/**
 * The content as sealed segments. Each is bound to its object and its place in it, and the last one says that it is: none can be left out,
 * doubled, moved or taken from another file. An empty file is one empty segment.
 */
export async function* sealSegments(vault: TenantVault, object: string, content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let index = 0;
  let held: Uint8Array | undefined;
  for await (const segment of regroup(content, SEGMENT_BYTES)) {
    if (held) yield await vault.seal(placeOf(object, index++, false), held);
    held = segment;
  }
  yield await vault.seal(placeOf(object, index, true), held ?? new Uint8Array());
}

/** Which bytes of the sealed object hold this part of a file of so many bytes. */
export function sealedRange(
  bytes: number,
  from: number,
  to: number,
): { readonly from: number; readonly length: number; readonly first: number } {
  const segments = segmentsOf(bytes);
  const first = Math.min(Math.floor(from / SEGMENT_BYTES), segments - 1);
  const last = Math.max(first, Math.ceil(to / SEGMENT_BYTES) - 1);
  const end = last === segments - 1 ? bytes + segments * SEALED_OVERHEAD_BYTES : (last + 1) * SEALED_BYTES;
  return { from: first * SEALED_BYTES, length: end - first * SEALED_BYTES, first };
}

/** The content again, from the segment `first` on. Throws `isolation_violation` at the first segment that is not the one stored there. */
export async function* openSegments(
  vault: TenantVault,
  object: string,
  file: { readonly bytes: number; readonly first: number },
  sealed: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const last = segmentsOf(file.bytes) - 1;
  let index = file.first;
  for await (const segment of regroup(sealed, SEALED_BYTES)) {
    yield await vault.open(placeOf(object, index, index === last), segment);
    index++;
  }
}

/** The same bytes in pieces of this size, the last one apart. */
async function* regroup(pieces: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  let group = Buffer.allocUnsafe(size);
  let filled = 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length;) {
      const part = piece.subarray(at, at + size - filled);
      group.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < size) continue;
      yield group;
      group = Buffer.allocUnsafe(size);
      filled = 0;
    }
  }
  if (filled > 0) yield group.subarray(0, filled);
}

function segmentsOf(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / SEGMENT_BYTES));
}

function placeOf(object: string, index: number, isLast: boolean): SealPlace {
  return { purpose: "files", table: "files", column: "content", row: [object, String(index), isLast ? "last" : "more"] };
}
