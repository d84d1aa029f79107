/** What an export cannot say, by what it is; the places that have the same in common are named together. */
export class ExportNotes {
  readonly #placesByText = new Map<string, Set<string>>();

  say(place: string, text: string): void {
    const places = this.#placesByText.get(text) ?? new Set();
    this.#placesByText.set(text, places.add(place));
  }

  /** One line each, with the places first. */
  lines(): readonly string[] {
    return [...this.#placesByText].map(([text, places]) => `${[...places].join(", ")}: ${text}`.replaceAll(/\s+/g, " "));
  }
}
