/** The painter: at most ten paintings a second, no output above is lost, and nothing of the view is left. */

import { Terminal as Emulator } from '@xterm/headless';
import { describe, expect, it } from 'vitest';
import { Painter } from '../../src/cli/painter.ts';
import fc from '../support/properties.ts';

type Written = { ms: number; name: string; text: string };

/** A terminal and a clock that are only there for the painter. */
class Stage {
  ms = 0;
  columns = 40;
  rows = 20;
  lines: string[] = ['one', 'two'];
  /** How long it takes to make the lines, milliseconds. */
  takesMs = 0;
  throws: Error | null = null;
  failures: unknown[] = [];
  written: Written[] = [];
  looks = 0;
  #timers: { at: number; callback: () => void }[] = [];

  readonly painter = new Painter({
    isFull: () => false,
    size: () => ({ columns: this.columns, rows: this.rows }),
    put: (name, text) => void this.written.push({ ms: this.ms, name, text }),
    lines: () => {
      this.looks++;
      this.ms += this.takesMs;
      if (this.throws !== null) throw this.throws;
      return this.lines;
    },
    failed: (error) => void this.failures.push(error),
    now: () => this.ms,
    later: (callback, ms) => {
      const timer = { at: this.ms + ms, callback };
      this.#timers.push(timer);
      return () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      };
    },
  });

  get pending(): number {
    return this.#timers.length;
  }

  /** Lets time pass, and what is due in it happen. */
  wait(ms: number): void {
    const end = this.ms + ms;
    for (;;) {
      const next = this.#timers.sort((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.#timers.shift();
      this.ms = Math.max(this.ms, next.at);
      next.callback();
    }
    this.ms = Math.max(this.ms, end);
  }

  /** What is on a terminal once all of it is written, without empty lines at the end. */
  async screen(): Promise<string> {
    const emulator = new Emulator({ cols: this.columns, rows: this.rows, convertEol: true, allowProposedApi: true });
    for (const { text } of this.written) await new Promise<void>((resolve) => emulator.write(text, resolve));
    const { active } = emulator.buffer;
    const lines = Array.from({ length: active.length }, (_, y) => active.getLine(y)?.translateToString(true) ?? '');
    return lines.join('\n').trimEnd();
  }
}

describe('painter', () => {
  it('the live view is painted below other output and removed at the end', async () => {
    const stage = new Stage();
    stage.painter.touch();
    expect(await stage.screen()).toBe('one\ntwo');
    expect(stage.painter.above('stdout', 'first\n')).toBe(true);
    expect(stage.painter.above('stderr', 'second\n')).toBe(true);
    stage.wait(100);
    expect(await stage.screen()).toBe('first\nsecond\none\ntwo');
    stage.lines = ['three'];
    stage.painter.touch();
    stage.wait(100);
    expect(await stage.screen()).toBe('first\nsecond\nthree');
    stage.painter.close();
    expect(await stage.screen()).toBe('first\nsecond');
  });

  it('the live view is painted at most ten times a second, at once after a pause, and finally in its last state', () => {
    const stage = new Stage();
    for (let n = 0; n < 1000; n++) {
      stage.lines = [`${n}`];
      stage.painter.touch();
      stage.wait(1);
    }
    stage.wait(1000);
    const times = stage.written.map(({ ms }) => ms);
    expect(times[0]).toBe(0);
    expect(times.length).toBeLessThanOrEqual(11);
    expect(times.length).toBeGreaterThanOrEqual(10);
    expect(times.every((ms, i) => i === 0 || ms - (times[i - 1] ?? 0) >= 100)).toBe(true);
    expect(stage.written.at(-1)?.text).toContain('999');
    expect(stage.pending).toBe(0);
  });

  it('an unchanged live view is not painted again', () => {
    const stage = new Stage();
    for (let n = 0; n < 10; n++) {
      stage.painter.touch();
      stage.wait(500);
    }
    expect(stage.written).toHaveLength(1);
    expect(stage.looks).toBe(10);
  });

  it('a live view that is slow to make is made less often', () => {
    const stage = new Stage();
    stage.takesMs = 50;
    for (let n = 0; n < 10_000; n++) {
      stage.painter.touch();
      stage.wait(1);
    }
    expect(stage.looks).toBeGreaterThan(5);
    expect(stage.looks * stage.takesMs).toBeLessThan(stage.ms * 0.06);
  });

  it('an unchanged live view is painted again after a resize', () => {
    const stage = new Stage();
    stage.painter.touch();
    stage.columns = 30;
    stage.painter.touch();
    stage.wait(100);
    expect(stage.written).toHaveLength(2);
    stage.rows = 10;
    stage.painter.touch();
    stage.wait(100);
    expect(stage.written).toHaveLength(3);
  });

  it.each([
    ['as wide as they were', 40, 2],
    ['half as wide', 20, 4],
    ['a third as wide', 13, 7],
    ['of a width that is not known', 0, 2],
  ])('a live view is cleared with all rows of its lines when they are %s', (_how, columns, up) => {
    const stage = new Stage();
    // The second line is of 20 columns: characters are counted by what they take, and colours take nothing.
    stage.lines = ['x'.repeat(39), `\x1b[1m${'日'.repeat(20)}\x1b[22m`, 'the last'];
    stage.painter.touch();
    stage.columns = columns;
    stage.painter.close();
    expect(stage.written[1]?.text).toContain(`\r\x1b[${up}A\x1b[J`);
  });

  it('a paused live view is removed, and output is not held back', async () => {
    const stage = new Stage();
    stage.painter.touch();
    stage.painter.above('stdout', 'held\n');
    stage.painter.pause();
    expect(await stage.screen()).toBe('held');
    expect(stage.painter.above('stdout', 'not held\n')).toBe(false);
    stage.painter.touch();
    stage.wait(1000);
    expect(await stage.screen()).toBe('held');
    stage.painter.resume();
    stage.wait(100);
    expect(await stage.screen()).toBe('held\none\ntwo');
  });

  it('a closed live view leaves no timer and writes nothing', () => {
    const stage = new Stage();
    stage.painter.touch();
    stage.painter.above('stdout', 'held\n');
    expect(stage.pending).toBe(1);
    stage.painter.close();
    const { length } = stage.written;
    stage.painter.touch();
    stage.painter.resume();
    expect(stage.painter.above('stdout', 'late\n')).toBe(false);
    stage.painter.close();
    stage.wait(1000);
    expect(stage.written).toHaveLength(length);
    expect(stage.pending).toBe(0);
  });

  it('a live view that was never painted leaves output unchanged', () => {
    const stage = new Stage();
    stage.lines = [];
    stage.painter.touch();
    stage.painter.above('stdout', 'first\n');
    stage.wait(100);
    stage.painter.close();
    expect(stage.written.map(({ text }) => text).join('')).toBe('first\n');
  });

  it('a live view that cannot be made is removed, and no output is lost', async () => {
    const stage = new Stage();
    stage.painter.touch();
    stage.throws = new Error('no');
    stage.painter.above('stdout', 'held\n');
    stage.wait(100);
    expect(stage.failures).toEqual([stage.throws]);
    expect(await stage.screen()).toBe('held');
    expect(stage.painter.above('stdout', 'more\n')).toBe(false);
  });

  it('a live view line that is wider than it seems does not take a second row', async () => {
    const stage = new Stage();
    stage.lines = ['x'.repeat(100), 'two'];
    stage.painter.touch();
    expect(await stage.screen()).toBe(`${'x'.repeat(40)}\ntwo`);
    stage.painter.close();
    expect(await stage.screen()).toBe('');
  });

  it('in any order of events the output above the live view is complete and in order', async () => {
    const act = fc.oneof(
      fc.record({ above: fc.constantFrom('stdout', 'stderr') }),
      fc.record({ lines: fc.array(fc.string({ unit: 'grapheme-ascii', maxLength: 39 }), { maxLength: 6 }) }),
      fc.record({ wait: fc.integer({ min: 1, max: 300 }) }),
      fc.constant({ touch: true }),
      fc.constant({ pause: true }),
      fc.constant({ resume: true }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 40 }), async (acts) => {
        const stage = new Stage();
        const above: string[] = [];
        for (const step of acts) {
          if ('above' in step) {
            const line = `line ${above.length}`;
            above.push(line);
            const name = step.above as 'stdout' | 'stderr';
            if (!stage.painter.above(name, `${line}\n`)) stage.written.push({ ms: 0, name, text: `${line}\n` });
          } else if ('lines' in step) stage.lines = step.lines;
          else if ('wait' in step) stage.wait(step.wait);
          else if ('touch' in step) stage.painter.touch();
          else if ('pause' in step) stage.painter.pause();
          else stage.painter.resume();
        }
        stage.painter.close();
        expect(await stage.screen()).toBe(above.join('\n'));
      }),
      { numRuns: 200 },
    );
  });
});
