/** `completion`: what a shell runs to complete command lines of forge. The candidates come from forge itself. */

import path from 'node:path';
import * as z from 'zod/mini';
import { invalidArgs } from '../lib/errors.ts';
import type { Variables } from '../lib/variables.ts';
import { command, flag, operand } from './shared/command.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** Each asks `forge __complete -- WORDS`, and completes file names where forge has no candidates. */
const SCRIPTS: Record<(typeof SHELLS)[number], string> = {
  // Works in bash 3.2, which macOS has.
  bash: `_forge() {
  local IFS=$'\\n'
  COMPREPLY=($(forge __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
}
complete -o default -F _forge forge`,
  zsh: `#compdef forge
_forge() {
  local line
  local -a names shown
  for line in "\${(@f)$(forge __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -n $line ]] || continue
    names+=("\${line%%$'\\t'*}")
    shown+=("\${line/$'\\t'/  }")
  done
  if (( $#names )); then compadd -l -d shown -a names; else _files; fi
}
if [[ $funcstack[1] == _forge ]]; then _forge "$@"; else compdef _forge forge; fi`,
  fish: `function __forge_complete
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    set -l found (forge __complete -- $words[2..-1] "$last" 2>/dev/null)
    if count $found >/dev/null
        printf '%s\\n' $found
    else
        __fish_complete_path "$last"
    end
end
complete -c forge -f -a '(__forge_complete)'`,
};

export const completion = command({
  changes: false,
  usage: '[bash|zsh|fish] [options]',
  notes:
    'Completes verbs, options, their values and ids of tasks. --install adds a line to what your shell starts with, unless it is there. To take it\n' +
    'away again, delete that line.',
  examples: [
    ['completion --install', 'for the shell of SHELL, from its next start on'],
    ['completion fish --install', 'for another one'],
    ['completion bash', 'print the script; in ~/.bashrc: eval "$(forge completion bash)"'],
  ],
  input: z.object({
    shell: operand(z.optional(z.enum(SHELLS)), 'bash, zsh or fish (default: that of SHELL)'),
    install: flag('Add it to the start file of the shell'),
  }),
  output: () =>
    z.strictObject({
      shell: z.enum(SHELLS),
      script: z.string(),
      /** With --install: the line, the file that has it, and whether it was added now; else null. */
      installed: z.nullable(z.strictObject({ file: z.string(), line: z.string(), added: z.boolean() })),
    }),
  /** Throws INVALID_ARGS for an unknown shell, or without a home folder; IO_ERROR. */
  async run({ ctx: { env } }, { shell: named, install = false }) {
    const shell = named ?? shellOf(env['SHELL']);
    const script = SCRIPTS[shell];
    if (!install) return { shell, script, installed: null };
    const { appendOnce } = await import('../lib/fs/append-once.ts');
    const file = startFile(shell, env);
    const line = `${LINES[shell]}  # forge completion`;
    return { shell, script, installed: { file, line, added: appendOnce(file, line, `forge completion ${shell}`) } };
  },
});

type Shell = (typeof SHELLS)[number];
/** What is added. A shell starts without a word where forge is gone. */
const LINES: Record<Shell, string> = {
  bash: 'command -v forge >/dev/null && eval "$(forge completion bash)"',
  // compdef comes with compinit, which a start file may not have called.
  zsh: 'command -v forge >/dev/null && { (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }; eval "$(forge completion zsh)"; }',
  fish: 'status is-interactive; and command -q forge; and forge completion fish | source',
};

function shellOf(program: string | undefined): Shell {
  const name = program?.split('/').at(-1);
  const shell = SHELLS.find((each) => each === name);
  if (shell !== undefined) return shell;
  const found = name === undefined || name === '' ? 'SHELL is not set' : `SHELL is ${name}`;
  throw invalidArgs(`say for which shell: ${found}`, `Such as forge completion bash; there are ${SHELLS.join(', ')}.`);
}

/** The file that an interactive shell reads when it starts. Sources: bash(1), zsh(1), fish(1). */
function startFile(shell: Shell, env: Variables): string {
  const home = env['HOME'];
  if (!home)
    throw invalidArgs(
      'HOME is not set, so it is not known where the shell starts',
      'Set HOME, then repeat the command.',
    );
  if (shell === 'bash') return path.join(home, '.bashrc');
  if (shell === 'zsh') return path.join(env['ZDOTDIR'] || home, '.zshrc');
  return path.join(env['XDG_CONFIG_HOME'] || path.join(home, '.config'), 'fish/conf.d/forge.fish');
}
