const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/**
 * The contents of all elements of this name in an answer of S3, as they stand. Its answers are a few fixed elements without attributes or mixed
 * content inside, so that no reader of XML at large is needed; what is no such answer has none of them.
 */
export function fieldsOf(xml: string, name: string): readonly string[] {
  const fields: string[] = [];
  const [start, end] = [`<${name}>`, `</${name}>`];
  for (let at = xml.indexOf(start); at !== -1; at = xml.indexOf(start, at)) {
    const from = at + start.length;
    const to = xml.indexOf(end, from);
    if (to === -1) break;
    fields.push(xml.slice(from, to));
    at = to;
  }
  return fields;
}

/** The text of the first element of this name, or undefined. */
export function fieldOf(xml: string, name: string): string | undefined {
  const [field] = fieldsOf(xml, name);
  return field?.replaceAll(
    /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]+));/gi,
    (whole: string, decimal?: string, hex?: string, entity?: string) => {
      const code = decimal === undefined ? Number.parseInt(hex ?? "", 16) : Number(decimal);
      return code <= 0x10_ffff ? String.fromCodePoint(code) : (ENTITIES[entity ?? ""] ?? whole);
    },
  );
}
