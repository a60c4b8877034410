/** What a renderer needs beside the answer: colours or none, how wide the screen is, and what time it is. */

const STYLES = ['bold', 'dim', 'red', 'green', 'yellow', 'cyan'] as const;

export type Palette = Record<(typeof STYLES)[number], (text: string) => string>;

export interface RenderContext {
  palette: Palette;
  /** Columns of the screen; 80 when there is none. */
  width: number;
  /** Milliseconds since the epoch, for `12s ago`. */
  nowMs: number;
}

export const PLAIN = Object.fromEntries(STYLES.map((style) => [style, (text: string) => text])) as Palette;

// Picocolors looks at process.stdout when it is loaded, which costs more than the rest of a small verb's printing. So it
// is only loaded for a screen that shows colours.
export async function paletteFor(colour: boolean): Promise<Palette> {
  if (!colour) return PLAIN;
  const { default: picocolors } = await import('picocolors');
  return picocolors.createColors(true);
}
