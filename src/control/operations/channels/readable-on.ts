const [BLACK, WHITE] = ["#000000", "#ffffff"];

/** Black or white, whichever is read better on this colour (`#rrggbb`): the contrast is at least 4.5, as WCAG 2.2 AA wants (1.4.3). */
export function readableOn(color: string): string {
  const luminance = luminanceOf(color);
  // (1 + 0.05) / (l + 0.05) against (l + 0.05) / 0.05: the better one is never under the square root of 21
  return (luminance + 0.05) ** 2 > 1.05 * 0.05 ? BLACK : WHITE;
}

/** The relative luminance of WCAG 2.2, 0 to 1. */
function luminanceOf(color: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return part <= 0.040_45 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
