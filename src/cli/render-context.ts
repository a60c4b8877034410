/** What a renderer needs beside the answer: colours or none, how wide the screen is, and what time it is. */

export interface Palette {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}

export interface RenderContext {
  palette: Palette;
  /** Columns of the screen; 80 when there is none. */
  width: number;
  /** Milliseconds since the epoch, for `12s ago`. */
  nowMs: number;
}

const same = (text: string) => text;

export const PLAIN: Palette = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same };

// Picocolors looks at process.stdout when it is loaded, which costs more than the rest of a small verb's printing. So it
// is only loaded for a screen that shows colours.
export async function paletteFor(colour: boolean): Promise<Palette> {
  if (!colour) return PLAIN;
  const { default: picocolors } = await import('picocolors');
  return picocolors.createColors(true);
}
