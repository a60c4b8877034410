/** `init --agents` and `uninit`: what they write and remove, and that the section for agents is correct. */

import fs from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { agentsSection } from '../../src/project/agents-file.ts';
import { cli, folder, orchestrate, project } from '../support/cli.ts';
import { varied } from '../support/faults/knobs.ts';
import { Repository } from '../support/repository.ts';

/** Every file below `cwd` with its bytes and permissions, every folder, every symlink. */
function tree(cwd: string): Record<string, string> {
  const entries = fs.readdirSync(cwd, { recursive: true, withFileTypes: true }).map((entry): [string, string] => {
    const path = join(entry.parentPath, entry.name);
    if (entry.isSymbolicLink()) return [relative(cwd, path), `-> ${fs.readlinkSync(path)}`];
    if (entry.isDirectory()) return [`${relative(cwd, path)}/`, ''];
    return [relative(cwd, path), `${fs.statSync(path).mode.toString(8)} ${fs.readFileSync(path, 'latin1')}`];
  });
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const section = agentsSection('\n');
const SECTION_BEGIN = '<!-- forge:begin -->';
const read = (cwd: string, name = 'AGENTS.md') => fs.readFileSync(join(cwd, name), 'latin1');
const init = (cwd: string, ...args: string[]) => cli(['init', '--agents', '--hooks', '--json', ...args], { cwd });
const uninit = (cwd: string, ...args: string[]) => cli(['uninit', '--json', ...args], { cwd });

describe('init and then uninit', () => {
  const cases: [string, Record<string, string>][] = [
    ['an empty folder', {}],
    ['one with rules', { 'AGENTS.md': '# Rules\n\nBe kind.\n', 'src/a.txt': 'a' }],
    ['rules without a last line end', { 'AGENTS.md': '# Rules' }],
    ['rules of another system', { 'AGENTS.md': '# Rules\r\nBe kind.\r\n' }],
    ['rules that say nothing', { 'AGENTS.md': '' }],
    ['rules in any bytes', { 'AGENTS.md': '\u00e9\u0000\u2028\n\n\n' }],
    ['a plan of its own', { 'phases.yaml': 'project: p\nphases: [{id: phase-1, name: A, tasks: []}]\n' }],
    ['rules for Claude Code', { 'CLAUDE.md': '# Claude\n', 'AGENTS.md': 'Be kind.' }],
    ['rules for Claude Code that name AGENTS.md', { 'CLAUDE.md': 'See @AGENTS.md.\n' }],
    [
      'settings of Claude Code',
      { '.claude/settings.json': '{"permissions": {"allow": ["Bash"]}}', '.claude/a.md': '' },
    ],
    [
      'hooks of Claude Code',
      { '.claude/settings.json': '{\n\t"hooks": {"Stop": [], "PreToolUse": [{"hooks": []}]}\n}\n' },
    ],
    ['another skill', { '.claude/skills/other/SKILL.md': '---\nname: other\n---\n' }],
    ['settings of its own', { '.forge/settings.yaml': 'version: 1\n', '.forge/plans/notes.md': 'mine' }],
  ];
  it.each(varied(cases, 3))('init and then uninit leave %s unchanged', async (_what, files) => {
    const cwd = folder(files);
    const before = tree(cwd);
    expect(await init(cwd)).toMatchObject({ code: 0, stderr: '' });
    const between = tree(cwd);
    const preview = (await uninit(cwd, '--dry-run')).json().data;
    expect(tree(cwd)).toEqual(between);
    const done = await uninit(cwd);
    expect(done).toMatchObject({ code: 0, stderr: '' });
    expect(done.json().data).toEqual(preview);
    expect(tree(cwd)).toEqual(before);
  });

  it('uninit keeps an empty plans folder that existed before', async () => {
    const cwd = folder();
    fs.mkdirSync(join(cwd, 'plans'));
    expect((await uninit(cwd)).json().data).toMatchObject({ removed: [], kept: [] });
    expect(tree(cwd)).toEqual({ 'plans/': '' });
  });

  it('init and uninit are also verbs of orchestrate, and a repeat finds nothing to undo', async () => {
    const cwd = folder();
    const call = (...args: string[]) => orchestrate(args, { cwd });
    expect(await call('init')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('created  plans/phases.yaml'),
    });
    const seen = {
      code: 0,
      stdout: expect.stringMatching(/would go {2}plans\/phases\.yaml\n[^$]*Nothing was changed\.\n$/),
    };
    expect(await call('uninit', '--dry-run')).toMatchObject(seen);
    expect(await call('uninit')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('removed   plans/phases.yaml\n'),
    });
    expect(tree(cwd)).toEqual({});
    expect(await call('uninit')).toMatchObject({ code: 0, stdout: `${cwd}\nNothing to undo.\n` });
    expect((await uninit(cwd)).json().data).toEqual({ project: cwd, removed: [], updated: [], kept: [] });
  });

  it('uninit keeps and names changed files', async () => {
    const cwd = folder();
    await init(cwd);
    fs.appendFileSync(join(cwd, 'plans/phases.yaml'), '# mine\n');
    fs.writeFileSync(join(cwd, '.forge/.gitignore'), '*\n');
    fs.writeFileSync(join(cwd, 'AGENTS.md'), section.replace('Exit code 3', 'Code 3'));
    const before = [read(cwd), read(cwd, 'plans/phases.yaml')];
    const { removed, updated, kept } = (await uninit(cwd)).json().data;
    expect(kept.map(({ path }: { path: string }) => path)).toEqual([
      'plans/phases.yaml',
      '.forge/.gitignore',
      'AGENTS.md',
    ]);
    expect(removed).toContain('.forge/settings.yaml');
    expect(updated).toEqual([]);
    expect([read(cwd), read(cwd, 'plans/phases.yaml')]).toEqual(before);
    await init(cwd);
    expect((await uninit(cwd)).json().data.removed).toContain('AGENTS.md');
  });

  it('uninit keeps the state of tasks and says how to remove it', async () => {
    const cwd = folder();
    await init(cwd);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    const state = () =>
      Object.keys(tree(cwd)).filter((path) => /^\.forge\/(orchestrator|logs|scratch|\.gitignore)/.test(path));
    const before = state();
    const { kept } = (await uninit(cwd)).json().data;
    expect(kept.map(({ path }: { path: string }) => path)).toEqual([
      '.forge/orchestrator',
      '.forge/logs',
      '.forge/scratch',
    ]);
    expect(state()).toEqual(before);
    expect(fs.existsSync(join(cwd, 'plans'))).toBe(false);
    for (const { reason } of kept) {
      const [, dir] = /`rm -r ([^`]+)`/.exec(reason) ?? [];
      fs.rmSync(join(cwd, dir ?? ''), { recursive: true });
    }
    await uninit(cwd);
    expect(tree(cwd)).toEqual({});
  });

  it('init and uninit never follow a symlink', async () => {
    const [cwd, elsewhere] = [folder(), folder()];
    await init(elsewhere);
    const before = tree(elsewhere);
    fs.symlinkSync(join(elsewhere, '.forge'), join(cwd, '.forge'));
    fs.symlinkSync(join(elsewhere, 'plans'), join(cwd, 'plans'));
    fs.symlinkSync(join(elsewhere, 'AGENTS.md'), join(cwd, 'AGENTS.md'));
    const { removed, updated, kept } = (await uninit(cwd)).json().data;
    expect([removed, updated]).toEqual([[], []]);
    expect(kept).toContainEqual({ path: 'AGENTS.md', reason: expect.stringContaining('leads out of the project') });
    expect(tree(elsewhere)).toEqual(before);
  });
});

describe('AGENTS.md', () => {
  it('init --agents creates or updates the section of AGENTS.md and changes nothing else', async () => {
    const cwd = folder();
    expect((await init(cwd)).json().data.created).toContain('AGENTS.md');
    expect(read(cwd)).toBe(section);
    const before = fs.statSync(join(cwd, 'AGENTS.md')).ino;
    expect((await init(cwd)).json().data).toMatchObject({
      created: [],
      updated: [],
      kept: expect.arrayContaining(['AGENTS.md']),
    });
    expect(fs.statSync(join(cwd, 'AGENTS.md')).ino).toBe(before);
    fs.writeFileSync(join(cwd, 'AGENTS.md'), `# A\r\n${section.replace('Exit code 3', 'Exit')}\r\n# B`);
    expect((await init(cwd)).json().data.updated).toEqual(['AGENTS.md']);
    expect(read(cwd)).toBe(`# A\r\n${section}\r\n# B`);
    expect((await cli(['init'], { cwd })).stdout).not.toContain('AGENTS.md');
  });

  it('init --agents keeps the permissions of AGENTS.md', async () => {
    const cwd = folder({ 'AGENTS.md': 'a' });
    fs.chmodSync(join(cwd, 'AGENTS.md'), 0o640);
    await init(cwd);
    expect(fs.statSync(join(cwd, 'AGENTS.md')).mode & 0o777).toBe(0o640);
  });

  it('init --agents follows a symlink within the project and keeps it', async () => {
    const cwd = folder({ 'docs/CLAUDE.md': '# Rules\n' });
    fs.symlinkSync('docs/CLAUDE.md', join(cwd, 'AGENTS.md'));
    const before = tree(cwd);
    await init(cwd);
    expect(fs.readlinkSync(join(cwd, 'AGENTS.md'))).toBe('docs/CLAUDE.md');
    expect(read(cwd, 'docs/CLAUDE.md')).toBe(`# Rules\n\n${section}`);
    await uninit(cwd);
    expect(tree(cwd)).toEqual(before);
  });

  it('uninit removes the section through an AGENTS.md that has become a symlink', async () => {
    const cwd = folder();
    await init(cwd);
    fs.renameSync(join(cwd, 'AGENTS.md'), join(cwd, 'CLAUDE.md'));
    fs.symlinkSync('CLAUDE.md', join(cwd, 'AGENTS.md'));
    expect((await uninit(cwd)).json().data.updated).toEqual(['AGENTS.md']);
    expect(read(cwd)).toBe('');
  });

  const bad: [string, string, RegExp, (cwd: string) => void][] = [
    [
      'half a section',
      'SCHEMA_INVALID',
      /forge:begin in line 2/,
      (cwd) => fs.writeFileSync(join(cwd, 'AGENTS.md'), `a\n${SECTION_BEGIN}\nb`),
    ],
    [
      'two sections',
      'SCHEMA_INVALID',
      /forge:begin in line 1, .*forge:begin/,
      (cwd) => fs.writeFileSync(join(cwd, 'AGENTS.md'), section + section),
    ],
    [
      'a symlink out of the project',
      'IO_ERROR',
      /leads out of the project/,
      (cwd) => fs.symlinkSync(join(folder({ x: '' }), 'x'), join(cwd, 'AGENTS.md')),
    ],
    ['a symlink to nowhere', 'IO_ERROR', /leads nowhere/, (cwd) => fs.symlinkSync('CLAUDE.md', join(cwd, 'AGENTS.md'))],
    ['a folder', 'IO_ERROR', /is not a file/, (cwd) => fs.mkdirSync(join(cwd, 'AGENTS.md'))],
    [
      'another name',
      'IO_ERROR',
      /has another name/,
      (cwd) => {
        fs.writeFileSync(join(cwd, 'CLAUDE.md'), 'Rules');
        fs.linkSync(join(cwd, 'CLAUDE.md'), join(cwd, 'AGENTS.md'));
      },
    ],
    [
      'two bytes a character',
      'IO_ERROR',
      /UTF-16/,
      (cwd) => fs.writeFileSync(join(cwd, 'AGENTS.md'), '\ufeffRules', 'utf16le'),
    ],
  ];
  it.each(varied(bad, 4))(
    'AGENTS.md with %s is refused, and nothing is written',
    async (_what, code, message, make) => {
      const cwd = folder();
      make(cwd);
      const before = tree(cwd);
      const refused = await init(cwd);
      expect(refused.json().error).toMatchObject({ code, message: expect.stringMatching(message) });
      expect(refused.code).toBe(1);
      const { kept, removed } = (await uninit(cwd)).json().data;
      expect(kept).toContainEqual({ path: 'AGENTS.md', reason: expect.stringMatching(message) });
      expect(removed).toEqual([]);
      expect(tree(cwd)).toEqual(before);
    },
  );

  it("forge's section of AGENTS.md is not in a worker's conventions", async () => {
    const cwd = project(['id: a, title: A'], { 'CLAUDE.md': 'Be kind.\n' });
    await init(cwd);
    const prompt = async () => (await orchestrate(['render-worker-prompt', 'a', '--json'], { cwd })).json().data.prompt;
    expect(await prompt()).toContain('from `CLAUDE.md`');
    expect(await prompt()).not.toContain('claim --next');
    fs.writeFileSync(join(cwd, 'AGENTS.md'), `Be quick.\n\n${section}`);
    expect(await prompt()).toMatch(/from `AGENTS\.md`(.*\n)*Be quick\.\n/);
    expect(await prompt()).not.toContain('claim --next');
  });
});

describe('CLAUDE.md, the skill and the settings of Claude Code', () => {
  it('init --agents makes Claude Code read AGENTS.md, and a repeat changes nothing', async () => {
    const cwd = folder({ 'CLAUDE.md': '# Claude\r\n', '.claude/settings.json': '{}' });
    expect((await init(cwd)).json().data).toMatchObject({
      created: expect.arrayContaining(['AGENTS.md', '.claude/skills/forge/SKILL.md']),
      updated: ['CLAUDE.md', '.claude/settings.json'],
    });
    expect(read(cwd, 'CLAUDE.md')).toBe('# Claude\r\n\r\n<!-- forge:begin -->\r\n@AGENTS.md\r\n<!-- forge:end -->\r\n');
    const before = tree(cwd);
    expect((await init(cwd)).json().data).toMatchObject({ created: [], updated: [] });
    expect(tree(cwd)).toEqual(before);
  });

  it('init --agents writes no hooks, and init --hooks nothing else for agents', async () => {
    const [told, hooked] = [folder(), folder()];
    await cli(['init', '--agents'], { cwd: told });
    expect(fs.readdirSync(join(told, '.claude'))).toEqual(['skills']);
    await cli(['init', '--hooks'], { cwd: hooked });
    expect(fs.readdirSync(join(hooked, '.claude'))).toEqual(['settings.json']);
    expect(fs.readdirSync(hooked).sort()).toEqual(['.claude', '.forge', 'plans']);
  });

  it('the skill is a skill, and has what AGENTS.md says', async () => {
    const cwd = folder();
    await init(cwd);
    const skill = read(cwd, '.claude/skills/forge/SKILL.md');
    expect(skill).toMatch(/^---\nname: forge\ndescription: [^\n]{50,1024}\n---\n\n## /);
    expect(skill).not.toMatch(/forge:(begin|end)|^AGENTS\.md$/m);
    for (const line of section.split('\n').slice(1, -2)) expect(skill).toContain(line);
    const commands = [...skill.matchAll(/^(forge orchestrate(?: (?!TASK)[\w-]+)*)/gm)].map(([, line = '']) => line);
    for (const command of commands)
      expect(await cli([...command.split(' ').slice(1), '--help'], { cwd })).toMatchObject({ code: 0 });
  });

  it('a CLAUDE.md that links to AGENTS.md is left alone', async () => {
    const cwd = folder({ 'AGENTS.md': '# Rules\n' });
    fs.symlinkSync('AGENTS.md', join(cwd, 'CLAUDE.md'));
    const before = tree(cwd);
    await init(cwd);
    expect(read(cwd)).toBe(`# Rules\n\n${section}`);
    await uninit(cwd);
    expect(tree(cwd)).toEqual(before);
  });

  it('a CLAUDE.md that leads out of the project is left alone, with a warning', async () => {
    const cwd = folder();
    fs.symlinkSync(join(folder({ x: 'mine' }), 'x'), join(cwd, 'CLAUDE.md'));
    const { code, stderr } = await init(cwd);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringMatching(/leads out of .* the line @AGENTS\.md/s),
    });
    expect(read(cwd, 'CLAUDE.md')).toBe('mine');
    const { kept } = (await uninit(cwd)).json().data;
    expect(kept).toEqual([{ path: 'CLAUDE.md', reason: expect.stringContaining('leads out of the project') }]);
  });

  it('init --agents writes no skill through a symlink, and says so', async () => {
    const [cwd, elsewhere] = [folder(), folder()];
    fs.symlinkSync(elsewhere, join(cwd, '.claude'));
    const { code, stderr } = await cli(['init', '--agents'], { cwd });
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringMatching(/\.claude is not a folder; \S+ is not/),
    });
    expect(tree(elsewhere)).toEqual({});
    expect(read(cwd, 'CLAUDE.md')).toContain('@AGENTS.md');
    await uninit(cwd);
    expect(tree(cwd)).toEqual({ '.claude': `-> ${elsewhere}` });
  });

  const settings = '.claude/settings.json';
  it.each(
    varied<[string, string, RegExp, (cwd: string) => void]>(
      [
        ['no JSON', 'SCHEMA_INVALID', /it is not JSON/, (cwd) => fs.writeFileSync(join(cwd, settings), '{"a": 1,}')],
        ['nothing', 'SCHEMA_INVALID', /it is not JSON/, (cwd) => fs.writeFileSync(join(cwd, settings), '')],
        [
          'other hooks',
          'SCHEMA_INVALID',
          /not an object/,
          (cwd) => fs.writeFileSync(join(cwd, settings), '{"hooks": 1}'),
        ],
        ['a folder', 'IO_ERROR', /is not a file/, (cwd) => fs.mkdirSync(join(cwd, settings))],
        [
          'a folder that leads elsewhere',
          'IO_ERROR',
          /\.claude is not a folder/,
          (cwd) => {
            fs.rmSync(join(cwd, '.claude'), { recursive: true });
            fs.symlinkSync(folder({ 'settings.json': '{}' }), join(cwd, '.claude'));
          },
        ],
      ],
      3,
    ),
  )('settings of Claude Code with %s are refused, and nothing is written', async (_what, code, message, make) => {
    const cwd = folder({ '.claude/note': '' });
    make(cwd);
    const before = tree(cwd);
    expect((await init(cwd)).json().error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(tree(cwd)).toEqual(before);
    expect((await uninit(cwd)).json().data.removed).toEqual([]);
    expect(tree(cwd)).toEqual(before);
  });

  it('uninit takes forge away from files that a person has edited since, and keeps the edits', async () => {
    const cwd = folder({ 'CLAUDE.md': 'a', [settings]: '{\n  "model": "opus"\n}\n' });
    await init(cwd);
    fs.writeFileSync(join(cwd, 'CLAUDE.md'), `0\n${read(cwd, 'CLAUDE.md')}b\n`);
    fs.writeFileSync(join(cwd, settings), read(cwd, settings).replace('"model"', '"x": 1,\n  "model"'));
    fs.appendFileSync(join(cwd, '.claude/skills/forge/SKILL.md'), 'mine\n');
    const { updated, kept } = (await uninit(cwd)).json().data;
    expect(updated).toEqual(['CLAUDE.md', settings]);
    expect(kept).toEqual([{ path: '.claude/skills/forge/SKILL.md', reason: expect.stringContaining('no longer') }]);
    expect(read(cwd, 'CLAUDE.md')).toBe('0\nab\n');
    expect(read(cwd, settings)).toBe('{\n  "x": 1,\n  "model": "opus"\n}\n');
  });
});

describe('what the section tells an agent', () => {
  /** The command lines of its shell blocks, a continued one joined, without comments. */
  const commands = [...section.matchAll(/```sh\n([^`]*)```/g)]
    .flatMap(([, block = '']) => block.replaceAll('\\\n', ' ').split('\n'))
    .map((line) => line.replace(/\s+#.*$|^#.*$/, '').trim())
    .filter((line) => line !== '');
  const inText = [...section.matchAll(/`(forge orchestrate [^`]+)`/g)].map(([, line = '']) => line);

  /** One of its command lines by its verb, and a word in it where there are several; TASK and so on filled in. */
  function line(words: string, ids: Record<string, string>): string[] {
    const found = commands.filter((command) => words.split(' ').every((word) => command.includes(word)));
    expect(found, words).toHaveLength(1);
    const parts = found[0]?.match(/"[^"]*"|\S+/g) ?? [];
    return parts.slice(1).map((word) => ids[word] ?? word.replaceAll('"', ''));
  }

  it('every command in the section of AGENTS.md does what the section says', async () => {
    const used = new Set<string>();
    const cwd = project(['id: a, title: A, retry: {base: 1h}', 'id: b, title: B, depends_on: [a]'], {
      // Nothing is done here but to call the commands.
      '.forge/settings.yaml': 'workspace: worktree\nchanges: none\n',
      '.gitignore': '.forge/\n',
    });
    const repository = new Repository(cwd);
    repository.git('add', '.');
    repository.git('commit', '-qm', 'plan');
    const files = folder({
      'verdict.json': '{"verdict": "ready_for_review", "summary": "what you did"}',
      'options.json': /The file: (\[.*\])/.exec(section)?.[1] ?? '',
    });
    expect(section).toContain(fs.readFileSync(join(files, 'verdict.json'), 'utf8'));
    const ids: Record<string, string> = {
      TASK: 'a',
      VERDICT_FILE: join(files, 'verdict.json'),
      OPTIONS_FILE: join(files, 'options.json'),
    };
    const call = async (words: string) => {
      const args = line(words, ids);
      used.add(commands.find((command) => words.split(' ').every((word) => command.includes(word))) ?? '');
      const result = await cli(args.includes('--json') ? args : [...args, '--json'], { cwd });
      return { code: result.code, ...result.json() };
    };
    const begin = async () => {
      const claim = (await call('claim --next')).data;
      Object.assign(ids, { CLAIM: claim.claim_id, RUN: claim.run_id });
      expect(claim.task_id).toBe('a');
      const attempt = (await call('dispatch')).data;
      ids['ATTEMPT'] = attempt.attempt_id;
      return attempt;
    };

    expect((await call('phases --ready')).data).toMatchObject({
      ready: [{ task_id: 'a' }],
      waiting: [{ task_id: 'b' }],
    });
    const { worktree_path } = await begin();
    expect(fs.existsSync(join(worktree_path, 'plans/phases.yaml'))).toBe(true);
    expect((await call('render-worker-prompt')).data.prompt).toContain('# Task a: A');
    expect((await call('heartbeat')).data).toMatchObject({ task_id: 'a' });
    expect((await call('question')).data).toMatchObject({ status: 'open' });
    expect((await call('heartbeat')).code).toBe(3);
    const [{ question_id }] = (await orchestrate(['questions', '--open', '--json'], { cwd })).json().data.questions;
    await orchestrate(['answer', question_id, '--option', 'keep'], { cwd });

    await begin();
    expect((await call('question')).data).toMatchObject({ status: 'answered', option_id: 'keep' });
    const added = (await call('add')).data;
    expect(added).toMatchObject({ discovered_from: 'a' });
    await orchestrate(['drop', added.task_id], { cwd });
    expect((await call('release')).data).toMatchObject({ task_id: 'a', state: 'awaiting_respawn' });
    await begin();
    expect((await call('--failed')).data).toMatchObject({ state: 'awaiting_respawn' });
    expect(await call('claim --next')).toMatchObject({ code: 4 });
    expect((await orchestrate(['why', 'b'], { cwd })).stdout).toContain('depends on a');
    await orchestrate(['retry', 'a'], { cwd });
    await begin();
    const done = await call('--verdict-file');
    expect(done.data).toMatchObject({ state: 'shipped' });
    expect(await call('--verdict-file')).toEqual(done);
    expect([...used].sort()).toEqual([...commands].sort());
  });

  it('the section of AGENTS.md names existing commands', async () => {
    expect(inText.length).toBeGreaterThan(2);
    const cwd = project(['id: TASK, title: A']);
    for (const command of inText) expect(await cli(command.split(' ').slice(1), { cwd })).toMatchObject({ code: 0 });
  });
});
