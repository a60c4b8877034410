import { describe, expect, test } from 'vitest';
import { whyNoHooks, withHooks, withoutHooks } from '../../src/project/claude-settings.ts';
import fc, { runs } from '../support/properties.ts';

const EVENTS = ['SessionStart', 'PreToolUse', 'PostToolUse', 'Stop'];
const add = (text: string | null) => withHooks(text);
const take = (text: string) => withoutHooks(text);
/** A group of a person's own. */
const OWN = '{"hooks": [{"type": "command", "command": "say done"}]}';

describe('hooks in the settings of Claude Code', () => {
  test.each([
    ['an empty object', '{}'],
    ['an empty object with room', '{ \n\n\t }'],
    ['a line end at the end', '{}\r\n'],
    ['other settings', '{"permissions": {"allow": ["Bash"]}}'],
    ['other settings, indented by four', '{\n    "model": "opus",\n    "env": {"A": "}"}\n}\n'],
    ['other settings, by tabs and CRLF', '{\r\n\t"model": "opus"\r\n}\r\n'],
    ['empty hooks', '{\n  "hooks": {}\n}\n'],
    ['an empty list of hooks', '{"hooks":{"Stop":[],"PreToolUse":[ ]}}'],
    ['own hooks', `{"hooks": {"Stop": [${OWN}], "Notification": [${OWN}]}, "model": "opus"}`],
    ['own hooks at every event', `{"hooks": {${EVENTS.map((event) => `"${event}": [${OWN},\n${OWN}]`).join(', ')}}}`],
    ['quotes, brackets and escapes in texts', '{"a": "\\"[{\\\\", "b\\u0022": ["]"], "hooks": {}}'],
    ['bytes that are no ASCII', '\xef\xbb\xbf{"a": "\xc3\xbc"}'],
    ['the same key twice', '{"hooks": 1, "hooks": {"Stop": []}}'],
  ])('are added to settings with %s, once, and leave them byte for byte', (_what, text) => {
    expect(whyNoHooks(text)).toBeNull();
    const added = add(text);
    const value = JSON.parse(added.replace('\xef\xbb\xbf', ''));
    for (const event of EVENTS) expect(JSON.stringify(value.hooks[event])).toContain('orchestrate hook claude');
    expect(add(added)).toBe(added);
    expect(take(added)).toEqual({ text, left: false });
  });

  test('make a file of their own, which goes with them', () => {
    expect(add(null)).toMatch(/^\{\n {2}"hooks": \{\n/);
    expect(take(add(null))).toEqual({ text: null, left: false });
    const minified = JSON.stringify(JSON.parse(add(null)));
    expect(take(minified)).toEqual({ text: null, left: false });
  });

  test.each([
    ['a key', (text: string) => text.replace('{', '{"model": "opus",'), { model: 'opus' }],
    [
      'an event',
      (text: string) => text.replace('"hooks": {', `"hooks": {"Notification": [${OWN}],`),
      { hooks: { Notification: [JSON.parse(OWN)] } },
    ],
    [
      'a hook before one of forge',
      (text: string) => text.replace('"Stop": [', `"Stop": [${OWN},`),
      { hooks: { Stop: [JSON.parse(OWN)] } },
    ],
    [
      'a hook behind one of forge',
      (text: string) => text.replace(/\](?=\s*\}\s*\}\s*$)/, `,${OWN}]`),
      { hooks: { Stop: [JSON.parse(OWN)] } },
    ],
  ])('are taken from settings to which a person has added %s since', (_what, edit, left) => {
    const edited = edit(add(null));
    expect(JSON.parse(edited)).not.toEqual(JSON.parse(add(null)));
    const { text } = take(edited);
    expect(JSON.parse(text ?? '')).toEqual(left);
    const reindented = JSON.stringify(JSON.parse(edited), null, '\t');
    expect(JSON.parse(take(reindented).text ?? '')).toEqual(left);
  });

  test('hooks in the settings of Claude Code that a person has changed stay until init writes them anew', () => {
    const changed = add('{"a": 1}').replace('"timeout": 20', '"timeout": 5');
    const { text, left } = take(changed);
    expect(left).toBe(true);
    expect(text).toContain('"timeout": 5');
    expect(take(add(changed))).toEqual({ text: '{"a": 1}', left: false });
  });

  test.each([
    ['', 'it is not JSON'],
    ['{"a": 1,}', 'it is not JSON'],
    ['// mine\n{}', 'it is not JSON'],
    ['[]', 'it is not an object'],
    ['"{}"', 'it is not an object'],
    ['{"hooks": []}', '`hooks` is not an object'],
    ['{"hooks": {"Stop": "x"}}', '`hooks.Stop` is not a list'],
    ['{"hooks": {"Stop": {}}}', '`hooks.Stop` is not a list'],
  ])('are refused by %s: %s', (text, why) => {
    expect(whyNoHooks(text)).toBe(why);
    expect(take(text).text).toBe(text);
  });

  const group = fc.constantFrom(OWN, '{"matcher": "Bash", "hooks": []}', '1', '"]"');
  const list = fc.array(group, { maxLength: 2 }).map((groups) => groups.map((each) => JSON.parse(each)));
  const hooks = fc.dictionary(fc.constantFrom(...EVENTS, 'Notification'), list);
  const settings = fc
    .tuple(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 }), fc.option(hooks))
    .map(([others, own]) => ({ ...others, ...(own === null ? {} : { hooks: own }) }));

  test('leave settings of any shape and layout byte for byte', () => {
    fc.assert(
      fc.property(
        settings,
        fc.constantFrom(undefined, '\t', 1, 4),
        fc.constantFrom('', '\n', '\r\n'),
        (value, indent, end) => {
          const text = Buffer.from(`${JSON.stringify(value, null, indent)}${end}`).toString('latin1');
          fc.pre(whyNoHooks(text) === null);
          expect(add(add(text))).toBe(add(text));
          expect(take(add(text))).toEqual({ text, left: false });
        },
      ),
      runs(500),
    );
  });
});
