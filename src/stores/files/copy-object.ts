import { createHash } from "node:crypto";
import { Fault } from "../../kernel/index.ts";
import type { FileEngine } from "./port.ts";
import { sealedRange } from "./segments.ts";

/** An object of a tenant, and how many bytes the file has that it holds. */
export interface CopiedObject {
  readonly tenant: string;
  readonly object: string;
  readonly bytes: number;
}

/**
 * Copies a sealed object as it is, in the place of whatever was there half written, and gives its SHA-256 once what is read back from the new
 * place has the same. Nothing is opened: it stays sealed for the same tenant and object.
 */
export async function copyObject(from: FileEngine, to: FileEngine, { tenant, object, bytes }: CopiedObject): Promise<Buffer> {
  const { length } = sealedRange(bytes, 0, bytes);
  await to.remove(tenant, object);
  const read = digesting(from.read(tenant, object, 0, length));
  await to.write(tenant, object, read.pieces);
  const written = digesting(to.read(tenant, object, 0, length));
  await written.pass();
  const [source, target] = [read.total(), written.total()];
  if (source.bytes !== length || target.bytes !== length || !source.sum.equals(target.sum)) {
    throw new Fault("dependency_unavailable", "an object is not the same in its new place as in its old one");
  }
  return source.sum;
}

function digesting(pieces: AsyncIterable<Uint8Array>) {
  const hash = createHash("sha256");
  let bytes = 0;
  const passed = async function* (): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      hash.update(piece);
      bytes += piece.length;
      yield piece;
    }
  };
  const passing = passed();
  return {
    pieces: passing,
    /** To the end, where only the digest is wanted. */
    async pass(): Promise<void> {
      while ((await passing.next()).done !== true);
    },
    total: () => ({ bytes, sum: hash.digest() }),
  };
}
