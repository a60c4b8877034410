/** Completion of command lines: the candidates, and the scripts in a shell. */

import { spawnSync } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { cli, FORGE, folder, project, shell } from '../support/cli.ts';
import { noTerminal, Terminal } from '../support/terminal.ts';

const PLAN = ['id: build, title: Build it', 'id: bundle, title: Bundle it', 'id: docs, title: "Write\\tdocs"'];

const candidatesOf = (stdout: string) => stdout.split('\n').flatMap((line) => line.split('\t')[0] || []);

describe('the candidates', () => {
  const cwd = project(PLAN);

  it.each([
    ['or', ['orchestrate']],
    ['unin', ['uninit']],
    ['run --task do', ['docs']],
    ['help sh', ['show', 'ship']],
    ['orchestrate sta', ['status']],
    ['orchestrate --json wh', ['why']],
    ['help orchestrate sh', ['show', 'ship']],
    ['orchestrate run ', ['start', 'end', 'list']],
    ['orchestrate run --ma', ['--max-parallel']],
    ['orchestrate run --on-failure ', ['continue', 'stop', 'stop-all']],
    ['orchestrate run --task build --ta', ['--task']],
    ['run --output=p', ['--output=prefixed']],
    ['run --output = p', ['prefixed']],
    ['run --output =', ['failures', 'prefixed', 'grouped', 'none']],
    ['run --task=build --task=do', ['--task=docs']],
    ['run --nope=', []],
    ['orchestrate claim --next --ne', []],
    ['orchestrate status --d', ['--dir']],
    ['orchestrate claim bu', ['build', 'bundle']],
    ['orchestrate claim build ', []],
    ['orchestrate claim build --ru', ['--run']],
    ['orchestrate claim --owner-pid 7 do', ['docs']],
    ['rerun bu', ['build', 'bundle']],
    ['rerun build ', ['bundle', 'docs']],
    ['done build docs bu', ['bundle']],
    ['retry build b', ['bundle']],
    ['edit do', ['docs']],
    ['add Title --depends-on do', ['docs']],
    ['graph --phase ', ['phase-1']],
    ['answer ', []],
    ['orchestrate gc --task d', ['docs']],
    ['orchestrate gc --out ', []],
    ['orchestrate exec build -- ma', []],
    ['orchestrate logs --stream std', ['stdout', 'stderr']],
    ['completion ', ['bash', 'zsh', 'fish']],
    ['orchestrate nope ', []],
    ['nope ', []],
  ])('of `forge %s` are %j', async (line, expected) => {
    const result = await cli(['__complete', '--', ...line.split(' ')], { cwd });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(candidatesOf(result.stdout)).toEqual(expected);
  });

  it('say on one line what they are', async () => {
    const { stdout } = await cli(['__complete', '--', 'orchestrate', 'why', 'd'], { cwd });
    expect(stdout).toMatch(/^docs\tWrite\S* ?docs\n$/);
  });

  it.each([
    ['there is no project', {}],
    ['the plan is malformed', { 'plans/phases.yaml': 'phases: 7\n' }],
  ])('are none, without a word, where %s', async (_, files: Record<string, string>) => {
    const empty = folder(files);
    const before = readdirSync(empty);
    const result = await cli(['__complete', '--', 'orchestrate', 'claim', ''], { cwd: empty });
    expect(result).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect(readdirSync(empty)).toEqual(before);
  });

  it('leave the project as it was', () => expect(readdirSync(cwd)).toEqual(['plans']));
});

describe('the script', () => {
  it('completes words in bash', () => {
    const cwd = project(PLAN);
    const complete = (...words: string[]) => `
      COMP_WORDS=(forge ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; COMPREPLY=()
      _forge forge; echo "\${COMPREPLY[*]}"`;
    const script = [
      'forge() { "$NODE" "$FORGE_BIN" "$@"; }',
      'source <(forge completion bash)',
      complete('orchestrate', 'stat'),
      complete('orchestrate', 'claim', ''),
      complete('orchestrate', 'why', 'zzz'),
      'complete -p forge',
    ].join('\n');
    const { stdout, stderr } = shell('exec bash -c "$SCRIPT"', { cwd, env: { SCRIPT: script } });
    expect(stderr).toBe('');
    expect(stdout.split('\n')).toEqual(['status', 'build bundle docs', '', 'complete -o default -F _forge forge', '']);
  });

  it.each(['zsh', 'fish'])('is a program of %s, where it is installed', async (name) => {
    const { stdout } = await cli(['completion', name], { cwd: folder() });
    expect(stdout).toMatch(/forge __complete -- .*2>\/dev\/null/);
    const { error, status, stderr } = spawnSync(name, ['-n', `${folder({ script: stdout })}/script`], {
      encoding: 'utf8',
    });
    if (error === undefined) expect([status, stderr]).toEqual([0, '']);
  });

  const isThere = (name: string) => noTerminal === null && spawnSync(name, ['--version']).error === undefined;
  /** A shell with nothing of the machine's, and what takes the script into it. */
  const shells: [name: string, flags: string[], start: string][] = [
    ['bash', ['--norc', '--noprofile', '-i'], 'source <(forge completion bash)'],
    ['zsh', ['-f', '-i'], 'autoload -Uz compinit; compinit -u -D; eval "$(forge completion zsh)"'],
    ['fish', ['--no-config', '-i'], 'forge completion fish | source'],
  ];
  it.for(shells)(
    'completes what is typed before Tab in a terminal with %s, where it is installed',
    async ([name, flags, start], { skip, onTestFinished }) => {
      if (!isThere(name)) skip(`${name} is not installed`);
      const cwd = project(PLAN, {
        'bin/forge': '#!/bin/sh\ncase $1 in orchestrate) echo "ran: $*";; *) exec "$NODE" "$FORGE_BIN" "$@";; esac\n',
      });
      chmodSync(`${cwd}/bin/forge`, 0o755);
      const env = { HOME: cwd, PATH: `${cwd}/bin:${process.env['PATH']}`, NODE: process.execPath, FORGE_BIN: FORGE };
      const terminal = new Terminal(flags, { cwd, env }, [name]);
      onTestFinished(() => terminal.kill());
      terminal.type(`${start}; echo is""there\r`);
      await terminal.sees(/isthere/);
      terminal.type('forge orchestrate stat\t');
      await terminal.sees(/orchestrate status/);
      terminal.type('\r');
      await terminal.sees(/ran: orchestrate status/);
      terminal.type('forge orchestrate claim doc\t');
      await terminal.sees(/orchestrate claim docs/);
      terminal.type('\r');
      await terminal.sees(/ran: orchestrate claim docs/);
    },
  );

  it('the script is added once to what the shell starts with, whatever is there', async () => {
    const home = folder({
      '.bashrc': '# forge completion bash\nalias ll=ls',
      'zsh/.zshrc': 'eval "$(forge completion zsh)"\n',
    });
    const env = { HOME: home, SHELL: '/usr/bin/bash', ZDOTDIR: `${home}/zsh` };
    const install = async (...args: string[]) =>
      (await cli(['completion', ...args, '--install', '--json'], { cwd: home, env })).json().data.installed;
    const line = 'command -v forge >/dev/null && eval "$(forge completion bash)"  # forge completion';
    expect(await install()).toEqual({ file: `${home}/.bashrc`, line, added: true });
    expect(await install('bash')).toEqual({ file: `${home}/.bashrc`, line, added: false });
    expect(readFileSync(`${home}/.bashrc`, 'utf8')).toBe(`# forge completion bash\nalias ll=ls\n${line}\n`);
    expect(await install('zsh')).toMatchObject({ file: `${home}/zsh/.zshrc`, added: false });
    expect(await install('fish')).toMatchObject({ file: `${home}/.config/fish/conf.d/forge.fish`, added: true });
    const script = 'forge() { "$NODE" "$FORGE_BIN" "$@"; }\n. "$AT/.bashrc"\ncomplete -p forge';
    const { stdout, stderr } = shell('exec bash -c "$SCRIPT"', { cwd: home, env: { AT: home, SCRIPT: script } });
    expect(stdout + stderr).toContain('complete -o default -F _forge forge');
  });

  it.each([
    [{ SHELL: '/bin/tcsh' }, 'say for which shell: SHELL is tcsh'],
    [{ SHELL: '/bin/zsh', HOME: '' }, 'HOME is not set'],
  ])('is added nowhere with %j', async (env, words) => {
    const { code, stderr } = await cli(['completion', '--install'], { cwd: folder(), env });
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining(words) });
  });

  it('the script is refused for a shell that is not known', async () => {
    const result = await cli(['completion', 'tcsh', '--json'], { cwd: folder() });
    expect(result.code).toBe(2);
    expect(result.json().error.message).toBe('<shell> "tcsh": expected bash, zsh or fish');
  });
});
