import { Fault } from "../../kernel/index.ts";

const NAME_BYTES_MAX = 1_024;
const SEGMENT_BYTES_MAX = 255;
/** Letters, marks and digits of all scripts, and signs that mean nothing to a file system, a shell's quoting apart, or a URL parser. */
const CHARACTERS = /^[\p{L}\p{M}\p{N} \-_.,()[\]{}+=@!&'#%~^$;]+$/u;
/** Characters that show nothing: two names could look the same. */
const INVISIBLE = /\p{Default_Ignorable_Code_Point}/u;
/** Names that are devices on Windows, with any ending. */
const DEVICE = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?$/i;

/** The name as it is, or `malformed_request` with what is wrong with it. Segments are divided by `/`. */
export function checkFileName(name: string): string {
  const problem = problemOf(name);
  if (problem === undefined) return name;
  throw new Fault("malformed_request", `a file name: ${problem}`, { public: { detail: `The file name ${problem}.`, field: "name" } });
}

/** The same for any two names that a system could take for one: case, width, ligatures and the like are levelled out. */
export function foldFileName(name: string): string {
  return name.normalize("NFKC").toUpperCase().toLowerCase().normalize("NFKC");
}

function problemOf(name: string): string | undefined {
  if (name === "") return "is empty";
  if (!name.isWellFormed() || name.normalize("NFC") !== name) return "is not in Unicode's normal form C";
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) return `has more than ${NAME_BYTES_MAX} bytes`;
  for (const segment of name.split("/")) {
    const problem = problemOfSegment(segment);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function problemOfSegment(segment: string): string | undefined {
  if (segment === "") return "begins or ends with a slash, or has two in a row";
  if (segment === "." || segment === "..") return "has a part that means another folder";
  if (!CHARACTERS.test(segment) || INVISIBLE.test(segment)) return "has a character that is not allowed";
  if (/^[ \p{M}]/u.test(segment) || /[ .]$/.test(segment))
    return "has a part that begins with a space or mark, or ends with a space or dot";
  // levelled out it could be one of these again: a full-width dot, a superscript digit
  const folded = foldFileName(segment);
  if (folded.includes("/") || /^[ .]*$/.test(folded) || !CHARACTERS.test(folded)) return "has a character that is not allowed";
  if (DEVICE.test(segment) || DEVICE.test(folded)) return "has a part that is a device on some systems";
  return Buffer.byteLength(segment) > SEGMENT_BYTES_MAX ? `has a part of more than ${SEGMENT_BYTES_MAX} bytes` : undefined;
}
