/**
 * MurmurHash3_x86_32 of numbers taken as 32-bit little-endian blocks; of the code points of a text it is the hash of its UTF-32LE bytes.
 * The same on every machine and in every version. For spreading features over buckets, not for anything secret.
 */
export function murmur3(blocks: readonly number[], seed: number): number {
  let hash = seed;
  for (const block of blocks) {
    let k = Math.imul(block, 0xcc9e2d51);
    k = (k << 15) | (k >>> 17);
    hash ^= Math.imul(k, 0x1b873593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  hash ^= blocks.length * 4;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
