/** The bytes that make the structure of a JSON text. */
export const JSON_BYTES = {
  QUOTE: 0x22,
  BACKSLASH: 0x5c,
  COLON: 0x3a,
  COMMA: 0x2c,
  OPEN: 0x7b,
  CLOSE: 0x7d,
  OPEN_LIST: 0x5b,
  CLOSE_LIST: 0x5d,
} as const;
