const PERCENT = 0x25;
const SLASH = 0x2f;
const DOT = 0x2e;

/**
 * The path that routes are matched with: percent-decoded once, dot segments resolved, slashes that follow each other merged. Undefined when
 * it leaves its root or has a percent sign without two digits or a NUL. What is forwarded is not this but the path as it arrived.
 */
export function normalisePath(raw: string): string | undefined {
  // nearly all paths are normal already, which one look at each character shows
  for (let i = 0; i < raw.length; i++) {
    const c = raw.charCodeAt(i);
    if (c === PERCENT) return resolve(decode(raw));
    if (c === SLASH && i + 1 < raw.length) {
      const next = raw.charCodeAt(i + 1);
      if (next === SLASH || next === DOT) return resolve(raw.includes("%") ? decode(raw) : raw);
    }
  }
  return raw;
}

const BROKEN = /%(?![0-9a-fA-F]{2})|%00/;

function decode(raw: string): string | undefined {
  if (BROKEN.test(raw)) return undefined;
  try {
    return decodeURIComponent(raw);
  } catch {
    // bytes that are no UTF-8 stay what they are, one character each
    return raw.replaceAll(/%([0-9a-fA-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
  }
}

function resolve(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const segments = path.split("/");
  const last = segments.at(-1);
  const kept: string[] = [];
  for (const segment of segments) {
    if (segment === "" || segment === ".") continue;
    if (segment !== "..") kept.push(segment);
    else if (kept.pop() === undefined) return undefined;
  }
  const isFolder = last === "" || last === "." || last === "..";
  return `/${kept.join("/")}${isFolder && kept.length > 0 ? "/" : ""}`;
}
