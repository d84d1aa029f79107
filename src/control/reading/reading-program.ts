import { buffer } from "node:stream/consumers";
import { convert, type HtmlToTextOptions } from "html-to-text";
import { extractText, getDocumentProxy, getMeta } from "unpdf";
import type { DocumentType, ReadDocument } from "./document-types.ts";

/** What this program answers on its standard output, as JSON, once. */
export type ReadingAnswer = ReadDocument | { readonly unreadable: string };

/** More than an upload may have. */
const HTML_LENGTH_MAX = 32 * 1024 * 1024;
const HTML_DEPTH_MAX = 500;
const LINES_BETWEEN_PAGES = "\n\n";

/** Links say where they lead only to who can follow them; pictures and controls say nothing. */
const HTML_OPTIONS: HtmlToTextOptions = {
  wordwrap: false,
  limits: { maxInputLength: HTML_LENGTH_MAX, maxDepth: HTML_DEPTH_MAX, ellipsis: "" },
  selectors: [
    { selector: "a", options: { ignoreHref: true } },
    { selector: "img", format: "skip" },
    { selector: "table", format: "dataTable", options: { uppercaseHeaderCells: false } },
    ...["h1", "h2", "h3", "h4", "h5", "h6"].map((selector) => ({ selector, options: { uppercase: false } })),
    ...["nav", "script", "style", "template", "noscript", "svg", "button", "form"].map((selector) => ({ selector, format: "skip" })),
  ],
};

function readHtml(html: string): ReadDocument {
  const only = (...selectors: string[]): string =>
    convert(html, { ...HTML_OPTIONS, baseElements: { selectors, orderBy: "selectors", returnDomByDefault: false } });
  const main = only("main");
  return { title: firstLine(only("title", "h1")), text: main === "" ? convert(html, HTML_OPTIONS) : main };
}

async function readPdf(bytes: Uint8Array): Promise<ReadingAnswer> {
  try {
    const pdf = await getDocumentProxy(bytes);
    const { info } = await getMeta(pdf);
    const { text } = await extractText(pdf, { mergePages: false });
    const title: unknown = info["Title"];
    return { title: typeof title === "string" ? firstLine(title) : undefined, text: text.join(LINES_BETWEEN_PAGES) };
  } catch (error) {
    const locked = error instanceof Error && error.name === "PasswordException";
    return { unreadable: locked ? "The PDF is locked with a password." : "The PDF is damaged, or is none." };
  }
}

function firstLine(text: string): string | undefined {
  const line = text.trim().split("\n", 1)[0]?.trim();
  return line === "" ? undefined : line;
}

// standard input is the type, a line feed, and the bytes; those of HTML in UTF-8
const input = await buffer(process.stdin);
const line = input.indexOf("\n");
const isHtml = input.toString("latin1", 0, line) === ("text/html" satisfies DocumentType);
const content = input.subarray(line + 1);
process.stdout.write(JSON.stringify(isHtml ? readHtml(content.toString()) : await readPdf(new Uint8Array(content))));
