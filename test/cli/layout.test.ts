import { describe, expect, it } from 'vitest';
import { columnOf, cut, fold, hang, pad, padId, widest, widthOf, wrap } from '../../src/cli/layout.ts';
import { project } from '../support/cli.ts';
import fc from '../support/properties.ts';
import { noTerminal, Terminal } from '../support/terminal.ts';

describe('widthOf', () => {
  it.each([
    ['', 0],
    ['abc', 3],
    ['é', 1],
    ['e\u0301', 1],
    ['宽', 2],
    ['한', 2],
    ['🚀', 2],
    ['✅', 2],
    ['⚡', 2],
    ['✓…', 2],
  ])('%s takes %i columns', (text, width) => {
    expect(widthOf(text)).toBe(width);
  });
});

describe('cut', () => {
  it.each([
    ['short', 10, 'short'],
    ['exactly ten', 11, 'exactly ten'],
    ['one too many', 11, 'one too…'],
    ['a_word_longer_than_the_line', 11, 'a_word_lon…'],
    ['in a_word_longer', 11, 'in a_word_…'],
    ['no space at the end', 4, 'no…'],
    ['two\nlines\tand tabs', 30, 'two lines and tabs'],
    ['宽宽宽', 5, '宽宽…'],
    ['宽宽宽', 4, '宽…'],
  ])('cut of %j to %i columns is %j', (text, width, expected) => {
    expect(cut(text, width)).toBe(expected);
  });

  it('cut never takes more columns than allowed', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 40 }), (text, width) => {
        expect(widthOf(cut(text, width))).toBeLessThanOrEqual(width);
        expect(widthOf(pad(text, width))).toBe(width);
      }),
    );
  });
});

it.each([
  ['test.node-20.os-linux', 30, 'test.node-20.os-linux         '],
  ['test.node-20.os-linux', 21, 'test.node-20.os-linux'],
  ['test.node-20.os-linux', 12, 'test.n…linux'],
  ['test.node-20.os-macos', 12, 'test.n…macos'],
  ['test', 2, 't…'],
])('the id %s in %i columns shows its end: %s', (id, width, expected) => {
  expect(padId(id, width)).toBe(expected);
});

describe('wrap', () => {
  it('wrap loses no word and keeps lines short', () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { minLength: 1 }),
        fc.integer({ min: 12, max: 60 }),
        (words, width) => {
          const lines = wrap(words.join(' '), width);
          expect(lines.join(' ').split(' ')).toEqual(words);
          for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
        },
      ),
    );
  });

  it('wrap keeps a command in backquotes on one line', () => {
    expect(wrap('See `forge orchestrate status --json`, or not.', 20)).toEqual([
      'See',
      '`forge orchestrate status --json`,',
      'or not.',
    ]);
    expect(wrap('an odd ` one', 8)).toEqual(['an odd `', 'one']);
  });

  it('wrap of an empty text is one empty line', () => {
    expect(wrap('', 10)).toEqual(['']);
  });
});

it('hang counts a time as it is shown, and leaves it in a command', () => {
  const text = 'it is open until 2020-01-15T10:00:00.000Z';
  const [line, ...more] = hang('  a  ', text, 41);
  expect(line).toMatch(/^ {2}a {2}it is open until 2020-01-1\d \d\d:\d\d:\d\d$/);
  expect(more).toEqual([]);
  expect(hang('  $ ', text, 60)).toEqual([`  $ ${text}`]);
});

it('hang puts the first words before the first line and aligns the others', () => {
  expect(hang('hint: ', 'one two three four five six', 26)).toEqual(['hint: one two three four', '      five six']);
});

it('a column is as wide as the widest text in it, up to a limit', () => {
  expect(widest(10, ['a', 'abc', '宽宽'])).toBe(4);
  expect(widest(10, ['a'.repeat(30)])).toBe(10);
  expect(widest(10, [])).toBe(0);
  expect(columnOf(10, [{ id: 'a' }, { id: 'abc' }], 'id')).toBe(3);
});

it('hang puts the text below the first words where there is little room beside them', () => {
  expect(hang('  DEPENDENCY_FAILED  ', 'it depends on build, which is failed', 36)).toEqual([
    '  DEPENDENCY_FAILED',
    '      it depends on build, which is',
    '      failed',
  ]);
});

describe('fold', () => {
  it.each([
    ['a line that fits', 'one two', 7, 'one two'],
    ['columns of a table', '  ● build    done   1x  now', 17, '  ● build    done\n    1x  now'],
    ['a word that is longer than the terminal', 'see plans/phases.yaml now', 10, 'see\nplans/phases.yaml\n  now'],
    ['a command in backquotes', 'try `forge orchestrate why a` now', 20, 'try\n`forge orchestrate why a`\n  now'],
    ['a command to copy', '  forge orchestrate retry build', 20, '  forge orchestrate retry build'],
    ['colours', '\u001b[1mone\u001b[22m two three', 7, '\u001b[1mone\u001b[22m two\n  three'],
    ['several lines', 'one two\n\nthree', 5, 'one\n  two\n\nthree'],
  ])('%s', (_what, text, width, folded) => {
    expect(fold(text, width)).toBe(folded);
  });

  it('no line is wider than the terminal but for one word, and no word is lost or broken', () => {
    const words = fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { maxLength: 12 });
    fc.assert(
      fc.property(words, fc.integer({ min: 0, max: 8 }), fc.integer({ min: 10, max: 30 }), (all, indent, width) => {
        const lines = fold(' '.repeat(indent) + all.join('  '), width).split('\n');
        expect(
          lines
            .join(' ')
            .split(' ')
            .filter((word) => word !== ''),
        ).toEqual(all);
        for (const line of lines) expect(line.trim().includes(' ') && widthOf(line) > width).toBe(false);
      }),
    );
  });
});

it.skipIf(noTerminal)('on a terminal of 40 columns no word is broken by the end of a line', async () => {
  const cwd = project([
    'id: compile-everything-once, title: Compile everything once, run: exit 3, retry: {max_attempts: 1}',
    'id: after, title: What comes after it, depends_on: [compile-everything-once]',
  ]);
  for (const args of [['run'], ['status'], ['why', 'after'], ['phases', '--ready'], []]) {
    const terminal = new Terminal(['orchestrate', ...args], { cwd, columns: 40, env: { CI: '1' } });
    await terminal.ended;
    for (const line of Buffer.from(terminal.raw, 'latin1')
      .toString()
      .replaceAll(/\u001b\[[\d;?]*[A-Za-z]/g, '')
      .split('\r\n')) {
      const isCommand = /^ *(log: |`)?forge orchestrate /.test(line);
      expect(isCommand || !line.trim().includes(' ') || widthOf(line) <= 40, line).toBe(true);
    }
  }
});
