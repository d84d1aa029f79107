/** 1 for each byte that may stand in a field name or method (RFC 9110, 5.6.2). */
export const TOKEN: Uint8Array = tableOf("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
/** 1 for each byte that may stand in a field value: visible ASCII, space, tab and what lies above ASCII (RFC 9110, 5.5). */
export const TEXT: Uint8Array = new Uint8Array(256).map((_, code) => (code === 9 || (code >= 32 && code !== 127) ? 1 : 0));
/** The value of each hexadecimal digit, 255 for other bytes. */
export const HEX: Uint8Array = new Uint8Array(256).map((_, code) => {
  const digit = "0123456789abcdef".indexOf(String.fromCharCode(code).toLowerCase());
  return digit === -1 ? 255 : digit;
});

/** Carriage return. */
export const CR = 13;
/** Line feed. */
export const LF = 10;
/** Space. */
export const SPACE = 32;
/** Horizontal tab. */
export const TAB = 9;
/** Colon. */
export const COLON = 58;

/** The empty line behind the last field. */
export const END_OF_HEAD = "\r\n\r\n";

function tableOf(characters: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const character of characters) table[character.charCodeAt(0)] = 1;
  return table;
}
