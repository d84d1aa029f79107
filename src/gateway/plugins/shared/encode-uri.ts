const encoder = new TextEncoder();

/** Characters of a path that are sent as they are: those nginx leaves alone in `ngx_escape_uri`. */
const KEPT = keptCharacters();

function keptCharacters(): Uint8Array {
  const kept = new Uint8Array(128);
  for (let c = 0x21; c < 0x7f; c++) kept[c] = 1;
  for (const c of '"#%<>?\\^`{|}') kept[c.charCodeAt(0)] = 0;
  return kept;
}

/** A decoded path as it is sent: everything that would end the path, or is not visible ASCII, is percent-encoded as UTF-8. */
export function encodePath(path: string): string {
  for (let i = 0; i < path.length; i++) if (KEPT[path.charCodeAt(i)] !== 1) return encode(path, (byte) => KEPT[byte] === 1);
  return path;
}

/** A text that is an address or a part of one already: only what no address may have (controls, spaces, bytes over 0x7e) is percent-encoded. */
export function encodeControls(text: string): string {
  for (let i = 0; i < text.length; i++) if (!isVisible(text.charCodeAt(i))) return encode(text, isVisible);
  return text;
}

function isVisible(code: number): boolean {
  return code > 0x20 && code < 0x7f;
}

function encode(text: string, isKept: (byte: number) => boolean): string {
  let encoded = "";
  for (const byte of encoder.encode(text)) {
    encoded += isKept(byte) ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}
