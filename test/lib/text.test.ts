import { describe, expect, test } from 'vitest';
import { closest, firstOf, lastLine, oneLine, outputText, plainJson, plainText, plural } from '../../src/lib/text.ts';
import fc, { runs } from '../support/properties.ts';

const ESC = '\u001b';
const BEL = '\u0007';

describe('plainText', () => {
  test.each<[what: string, text: string, plain: string]>([
    ['ordinary text', 'caf\u00e9 \u65e5\u672c \u{1f600} 100%', 'caf\u00e9 \u65e5\u672c \u{1f600} 100%'],
    ['tabs and newlines', 'a\tb\nc', 'a\tb\nc'],
    ['a Windows line end', 'a\r\nb', 'a\nb'],
    ['a lone carriage return, which would write over the line', 'good\rbad', 'goodbad'],
    ['colours', `${ESC}[31mred${ESC}[0m`, 'red'],
    ['a colour with sub-parameters', `${ESC}[38:2::1:2:3mx`, 'x'],
    ['cursor movement', `a${ESC}[2J${ESC}[1;1Hb`, 'ab'],
    ['a private mode', `${ESC}[?25lx`, 'x'],
    ['a window title', `${ESC}]0;title${BEL}x`, 'x'],
    ['a window title that ends with ST', `${ESC}]0;title${ESC}\\x`, 'x'],
    ['a hyperlink', `${ESC}]8;;https://example.org${ESC}\\text${ESC}]8;;${ESC}\\`, 'text'],
    ['a device control string', `${ESC}Pq#0;2${ESC}\\x`, 'x'],
    ['a charset switch', `${ESC}(0x`, 'x'],
    ['a reset', `${ESC}cx`, 'x'],
    ['an escape that leads nowhere', `a${ESC}`, 'a'],
    ['a C1 control introducer', 'a\u009b31mb', 'a31mb'],
    ['a bell and a backspace', `a${BEL}\u0008b`, 'ab'],
    ['a null', 'a\0b', 'ab'],
    ['a delete', 'a\u007fb', 'ab'],
    ['text that runs the other way', 'abc\u202egpj.exe\u2066x\u2069', 'abcgpj.exex'],
    ['what cannot be seen', 'pay\u200bpal\u2060\ufeff', 'paypal'],
    ['line separators', 'a\u2028b\u2029c', 'abc'],
  ])('plainText handles %s', (_what, text, plain) => {
    expect(plainText(text)).toBe(plain);
  });

  /** Strings that are dense in what terminals act on. */
  const nasty = fc
    .array(
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 3 }),
        fc.constantFrom(ESC, `${ESC}[`, `${ESC}]`, `${ESC}P`, BEL, '\\', '31m', ';', '\r', '\n', '\u009b', '\u202e'),
      ),
      { maxLength: 20 },
    )
    .map((parts) => parts.join(''));

  test('plainText leaves no control character but tab and newline', () => {
    fc.assert(
      fc.property(nasty, (text) => {
        expect(plainText(text)).not.toMatch(
          /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/,
        );
      }),
      runs(500),
    );
  });

  test('plainJson has nothing that plainText would remove, and is the same value', () => {
    fc.assert(
      fc.property(nasty, (text) => {
        const json = plainJson({ [text]: text });
        expect(plainText(json)).toBe(json);
        expect(JSON.parse(json)).toEqual({ [text]: text });
      }),
      runs(500),
    );
  });

  test('plainText is idempotent', () => {
    fc.assert(
      fc.property(nasty, (text) => {
        expect(plainText(plainText(text))).toBe(plainText(text));
      }),
      runs(500),
    );
  });

  test('plainText ends on unterminated escape sequences', () => {
    const hostile = `${ESC}]`.repeat(100_000) + `${ESC}[`.repeat(100_000) + `${ESC}P`.repeat(100_000);
    expect(plainText(hostile)).not.toContain(ESC);
  });
});

describe('oneLine', () => {
  test.each([
    ['  a\n\tb  \r\n c ', 'a b c'],
    [`${ESC}[1mbold${ESC}[0m\nnext`, 'bold next'],
    ['\n', ''],
  ])('oneLine turns %j into %j', (text, line) => {
    expect(oneLine(text)).toBe(line);
  });

  test('oneLine cuts long text and counts the ellipsis', () => {
    expect(oneLine('abcdef', 6)).toBe('abcdef');
    expect(oneLine('abcdefg', 6)).toBe('abcde\u2026');
    expect(oneLine('x'.repeat(500))).toHaveLength(200);
  });
});

describe('outputText', () => {
  test.each([
    ['10%\r20%\rdone: all\n', 'done: all\n'],
    ['sh: 1: npm\r: not found\n', 'sh: 1: npm: not found\n'],
    ["env: 'bash\r': No such file or directory\n", "env: 'bash': No such file or directory\n"],
  ])('outputText of %j is %j', (output, text) => {
    expect(outputText(output)).toBe(text);
  });
});

describe('lastLine', () => {
  test.each([
    ['', ''],
    ['a', 'a'],
    ['a\nb\n', 'b'],
    ['a\n  \n\u001b[0m\n', 'a'],
    ['10%\r20%\r30%', '30%'],
    ['10%\r20%\r', '20%'],
    ['a\r\nb  c\r\n', 'b c'],
    [`a\n${ESC}[2K${ESC}[31mred${ESC}[0m`, 'red'],
  ])('lastLine of %j is %j', (text, line) => {
    expect(lastLine(text)).toBe(line);
  });

  test('lastLine cuts long lines', () => {
    expect(lastLine('x\nabcdefg', 6)).toBe('abcde\u2026');
  });
});

describe('closest', () => {
  const KEYS = ['depends_on', 'description', 'priority', 'status', 'title', 'run'];
  test.each([
    ['depend_on', 'depends_on'],
    ['dependson', 'depends_on'],
    ['pirority', 'priority'],
    ['Status', 'status'],
    ['titel', 'title'],
    ['rnu', 'run'],
    ['runn', 'run'],
    ['xyz', null],
    ['', null],
    ['completely_else', null],
  ])('closest suggests that %j is probably %j', (word, near) => {
    expect(closest(word, KEYS)).toBe(near);
  });

  test('closest suggests nothing for a text unlike all words', () => {
    expect(closest('status', [])).toBeNull();
  });

  test('closest prefers the nearer word, and the first of equals', () => {
    expect(closest('taskk', ['tasks_', 'task'])).toBe('task');
    expect(closest('task', ['tasc', 'tasd'])).toBe('tasc');
  });

  test.each([
    ['lint', ['lint-it', 'test'], 'lint-it'],
    ['LINT', ['lint-it-all', 'test'], 'lint-it-all'],
    ['lint', ['lint-one', 'lint-all'], null],
    ['lint', ['lint-all-of-it', 'link'], 'link'],
    ['li', ['lint-all-of-it'], null],
  ])(
    'closest suggests for %j of %j, where nothing is like it, the only word that begins so: %j',
    (word, words, near) => {
      expect(closest(word, words)).toBe(near);
    },
  );

  test('closest suggests a word for itself', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ minLength: 1, maxLength: 12 }), { minLength: 1 }), (words) => {
        const word = words[0] ?? '';
        expect(closest(word, words)?.toLowerCase()).toBe(word.toLowerCase());
      }),
    );
  });

  test('closest finds a word behind any single typing error', () => {
    const how = fc.constantFrom('drop', 'double', 'swap', 'replace');
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z]{2,12}$/), fc.nat(), how, (word, at, slip) => {
        const i = at % word.length;
        const [head, letter, tail] = [word.slice(0, i), word[i] ?? '', word.slice(i + 1)];
        const slipped = {
          drop: head + tail,
          double: head + letter + letter + tail,
          swap: head + tail.slice(0, 1) + letter + tail.slice(1),
          replace: `${head}#${tail}`,
        }[slip];
        expect(closest(slipped, ['entirely', word, 'different'])).toBe(word);
      }),
    );
  });

  test.each([
    ['prioritty_', 'priority'],
    ['dpends_no', 'depends_on'],
    ['desciptoin', 'description'],
  ])('closest finds a longer word behind two typing errors: %s', (word, near) => {
    expect(closest(word, KEYS)).toBe(near);
  });
});

test.each([
  [[], 2, undefined, ''],
  [['a'], 2, undefined, 'a'],
  [['a', 'b'], 2, undefined, 'a, b'],
  [['a', 'b', 'c'], 2, undefined, 'a, b and 1 more'],
  [['a', 'b'], 2, 7, 'a, b and 5 more'],
  [['a', 'b', 'c', 'd', 'e', 'f'], undefined, undefined, 'a, b, c, d, e and 1 more'],
])('the first of %j, at most %s of %s, are listed as "%s"', (names, most, all, text) => {
  expect(firstOf(names, most, all)).toBe(text);
});

test('plural counts', () => {
  expect([plural(1, 'task'), plural(2, 'task'), plural(2, 'is', 'are')]).toEqual(['1 task', '2 tasks', '2 are']);
});
