import { describe, expect, test } from 'vitest';
import { agentsSection, locateSection, withoutSection, withSection } from '../../src/project/agents-file.ts';
import fc, { runs } from '../support/properties.ts';

const SECTION_BEGIN = '<!-- forge:begin -->';
const SECTION_END = '<!-- forge:end -->';

const put = (text: string | null) => withSection(text, locateSection(text ?? ''));
const take = (text: string) => withoutSection(text, locateSection(text));

/** Any bytes, and above all what looks like lines of the kind that matter. */
const bytes = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '\n',
        '\r\n',
        '\r',
        '\n\n',
        '# Rules',
        ' ',
        '\t',
        '<!--',
        'forge:begin',
        '\xef\xbb\xbf',
        '\xc3\xbc',
      ),
      fc.constantFrom(`x ${SECTION_BEGIN}`, `${SECTION_END} x`, '```'),
      fc.uint8Array({ maxLength: 6 }).map((part) => Buffer.from(part).toString('latin1')),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''))
  // Text with markers on lines of their own is not a sample.
  .filter((text) => locateSection(text).kind === 'none');

describe('AGENTS.md section', () => {
  test('the section is short ASCII that fits into any file', () => {
    const lines = agentsSection('\n').trimEnd().split('\n');
    expect(lines.length).toBeLessThanOrEqual(60);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(130);
    expect(agentsSection('\n')).toMatch(/^[\x20-\x7e\n]*$/);
    expect([lines[0], lines.at(-1)]).toEqual([SECTION_BEGIN, SECTION_END]);
  });

  test('adding and removing the section leaves any file byte for byte unchanged', () => {
    fc.assert(
      fc.property(fc.option(bytes), (text) => {
        expect(take(put(text))).toBe(text);
      }),
      runs(2000),
    );
  });

  test('the section is added once, and the text before it stays', () => {
    fc.assert(
      fc.property(bytes, (text) => {
        const first = put(text);
        expect(first.startsWith(text)).toBe(true);
        expect(put(first)).toBe(first);
      }),
    );
  });

  test('an outdated section is updated in place', () => {
    fc.assert(
      fc.property(bytes, bytes, fc.constantFrom('\n' as const, '\r\n' as const), (before, after, eol) => {
        const [above, below] = [`${before}${eol}`, after];
        const old = `${above}${SECTION_BEGIN}${eol}older words${eol}${SECTION_END}${eol}${below}`;
        fc.pre(locateSection(old).kind === 'found');
        expect(locateSection(old)).toMatchObject({ own: false, eol });
        expect(put(old)).toBe(above + agentsSection(eol) + below);
        expect(locateSection(put(old))).toMatchObject({ own: true });
      }),
    );
  });

  test('the section uses the line ends of its file', () => {
    expect(put('a\r\nb')).toBe(`a\r\nb\r\n${agentsSection('\r\n')}`);
    expect(agentsSection('\r\n').replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    expect(put('a\nb\r\n')).toBe(`a\nb\r\n\n${agentsSection('\n')}`);
  });

  test('the section is recognized without its last line end', () => {
    const text = put('a\n').trimEnd();
    expect(locateSection(text)).toMatchObject({ own: true });
    expect(take(text)).toBe('a\n');
  });

  test("a section that was edited is not forge's own", () => {
    expect(locateSection(put('a\n').replace('Exit code 3', 'Exit code 33'))).toMatchObject({
      kind: 'found',
      own: false,
    });
  });

  test('removing the section keeps text that was added around it', () => {
    expect(take(`# Mine\n\n${put(null)}more\n`)).toBe('# Mine\nmore\n');
    expect(take(`${put(null)}more\n`)).toBe('more\n');
    expect(take(`${put('a\n')}more\n`)).toBe('a\nmore\n');
  });
});

describe('AGENTS.md markers', () => {
  test.each([
    ['half a section', `a\n${SECTION_BEGIN}\nb\n`, 'forge:begin in line 2'],
    ['the other half', `a\nb\n${SECTION_END}`, 'forge:end in line 3'],
    ['two sections', `${put(null)}${put(null)}`, /^forge:begin in line 1, forge:end in line \d+, forge:begin in line/],
    ['the wrong way round', `${SECTION_END}\r\n${SECTION_BEGIN}\r\n`, 'forge:end in line 1, forge:begin in line 2'],
    [
      'a begin in a section',
      `${SECTION_BEGIN}\n${SECTION_BEGIN}\n${SECTION_END}\n`,
      'forge:begin in line 1, forge:begin in line 2, forge:end in line 3',
    ],
  ])('markers with %s are unclear', (_what, text, why) => {
    expect(locateSection(text)).toEqual({
      kind: 'unclear',
      why: typeof why === 'string' ? why : expect.stringMatching(why),
    });
  });

  test.each([[`Write ${SECTION_BEGIN} first\n`], [`  ${SECTION_BEGIN}\n`], [`> ${SECTION_END}\n`]])(
    'markers within a line are plain text: %j',
    (text) => {
      expect(locateSection(text)).toEqual({ kind: 'none' });
    },
  );
});
