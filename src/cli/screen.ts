/** Where answers go, and in what form. Opened before the command line is understood, because that may fail too. */

import path from 'node:path';
import { jsonError } from '../commands/shared/error-body.ts';
import type { Warning } from '../domain/warnings.ts';
import { ForgeError } from '../lib/errors.ts';
import { isGone, START_AGAIN } from '../lib/own-files.ts';
import { oneLine } from '../lib/text.ts';
import type { Variables } from '../lib/variables.ts';
import { asCalled } from './called.ts';
import { exitCodeOf, humanError, type Sources } from './errors.ts';
import { fold } from './layout.ts';
import { withLocalTimes } from './local-times.ts';
import { isTerminal, Output, type StreamName } from './output.ts';
import { type Palette, paletteFor, type RenderContext } from './render-context.ts';

/** Larger files are pointed into without showing the line. */
const SOURCE_MAX_BYTES = 16 * 1024 * 1024;

export class Screen {
  readonly output = new Output();
  readonly json: boolean;
  /** The project that errors are about; see `CommandContext`. */
  dir: string | undefined;
  /** The verb that was called, once it is known. */
  verb: string | null = null;
  readonly #env: Variables;
  readonly #palettes: Record<StreamName, Palette>;
  readonly #said = new Set<Warning>();
  /** Of the streams that were printed to. */
  readonly #isTerminal: Partial<Record<StreamName, boolean>> = {};

  private constructor(json: boolean, palettes: Record<StreamName, Palette>, env: Variables) {
    this.json = json;
    this.#palettes = palettes;
    this.#env = env;
    this.dir = env['FORGE_DIR'] || undefined;
  }

  /** Colours are for terminals, or where `colourIn` says so; never with --no-color or --json. */
  static async open(argv: readonly string[], env: Variables): Promise<Screen> {
    const end = argv.indexOf('--');
    const own = end === -1 ? argv : argv.slice(0, end);
    const json = own.includes('--json');
    const colour = json || own.includes('--no-color') ? 'never' : colourIn(env);
    const paletteOf = (name: StreamName) =>
      paletteFor(colour === 'always' || (colour === 'terminal' && isTerminal(name)));
    return new Screen(json, { stdout: await paletteOf('stdout'), stderr: await paletteOf('stderr') }, env);
  }

  renderContext(name: StreamName): RenderContext {
    return { palette: this.#palettes[name], width: columns(), nowMs: Date.now() };
  }

  /**
   * Why nothing may be drawn on stdout; null when it may. Stderr does not count: what goes through a pipe may come out on the
   * same terminal again, in the middle of what is drawn there.
   */
  whyNotDrawn(): string | null {
    const { TERM: term } = this.#env;
    const alone = this.#whyAlone();
    if (alone !== null) return alone;
    if (!term || term === 'dumb') return `TERM is ${term || 'not set'}, so nothing can be drawn on it`;
    return null;
  }

  /** Whether a person reads what is printed while it is printed. */
  get hasReader(): boolean {
    return this.#whyAlone() === null;
  }

  #whyAlone(): string | null {
    const { CI: ci } = this.#env;
    if (this.json) return '--json is given';
    if (!isTerminal('stdout')) return 'standard output is none';
    return ci && ci !== '0' && ci.toLowerCase() !== 'false' ? `CI is set (${oneLine(ci, 20)})` : null;
  }

  warn(message: string): void {
    const { palette } = this.renderContext('stderr');
    this.print('stderr', `${palette.yellow('warning:')} ${oneLine(message, 1000)}`);
  }

  /** Prints text for a person; on a terminal no word of it is broken by its end. */
  print(name: StreamName, text: string): void {
    const shown = asCalled(withLocalTimes(text, Date.now()));
    this.#isTerminal[name] ??= isTerminal(name);
    this.output.line(name, this.#isTerminal[name] ? fold(shown, columns()) : shown);
  }

  /** Prints what gc would apply, also with --json. */
  say(warning: Warning): void {
    this.#said.add(warning);
    const { task_id, row, action, message, suggestion } = warning;
    const text = row === null ? message : `${task_id}: row ${row} (${action}) — ${suggestion}`;
    this.print('stderr', `[gc] ${text}`);
  }

  /** Says what goes on while the answer is on its way. Nothing with --json. */
  note(message: string): void {
    if (!this.json) this.print('stderr', this.renderContext('stderr').palette.dim(oneLine(message, 1000)));
  }

  /** Prints an answer, and what it warns of that was not printed before. */
  give(
    data: unknown,
    text: (context: RenderContext) => string,
    { to = 'stdout', asIs = false }: { to?: StreamName; asIs?: boolean } = {},
  ): void {
    if (this.json) {
      this.output.json({ ok: true, data });
      return;
    }
    const shown = text(this.renderContext(to));
    if (shown !== '' && asIs) this.output.line(to, shown);
    else if (shown !== '') this.print(to, shown);
    const { warnings = [] } = data as { warnings?: readonly Warning[] };
    for (const warning of warnings) if (!this.#said.has(warning)) this.warn(warning.message);
  }

  /** Prints what went wrong: on stdout as JSON, else on stderr. Returns the exit code. */
  async fail(thrown: unknown): Promise<number> {
    const error = isGone(thrown) ? new ForgeError('IO_ERROR', thrown.message, { hint: START_AGAIN }) : thrown;
    if (this.json) this.output.json(jsonError(error, this.verb));
    else {
      const sources = error instanceof ForgeError && error.problems.length > 0 ? await this.#sources() : () => null;
      const view = {
        context: this.renderContext('stderr'),
        sources,
        verb: this.verb,
        stack: Boolean(this.#env['FORGE_DEBUG']),
      };
      this.print('stderr', humanError(error, view));
    }
    return exitCodeOf(error);
  }

  /** Problems name files as they are seen from the project's folder. */
  async #sources(): Promise<Sources> {
    const { findProject } = await import('../project/find-project.ts');
    const { readUserFile } = await import('../project/user-files.ts');
    return (file) => {
      try {
        const project = findProject(process.cwd(), this.dir)?.project ?? process.cwd();
        return readUserFile(path.resolve(project, file), 'file', SOURCE_MAX_BYTES);
      } catch {
        return null;
      }
    };
  }
}

/**
 * NO_COLOR first, whatever it says; then FORCE_COLOR, of which 0 and false mean none and anything else means also without a terminal; both count
 * as not set where they are empty. Source: no-color.org; FORCE_COLOR as Node has it, in this order as picocolors has them.
 */
function colourIn(env: Variables): 'always' | 'terminal' | 'never' {
  const { NO_COLOR: no, FORCE_COLOR: force, TERM: term } = env;
  if (no) return 'never';
  if (force) return force === '0' || force === 'false' ? 'never' : 'always';
  return term === 'dumb' ? 'never' : 'terminal';
}

function columns(): number {
  // Node's stream is asked, and so loaded, only for a terminal.
  const width = isTerminal('stdout') ? process.stdout.columns : undefined;
  return Math.min(120, Math.max(40, width ?? 80));
}
