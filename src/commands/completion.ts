/** `completion`: what a shell runs to complete command lines of forge. The candidates come from forge itself. */

import * as z from 'zod/mini';
import { command, operand } from './shared/command.ts';

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
  notes:
    'Completes verbs, options, their values and ids of tasks. Add the line of an example to what your shell starts with.',
  examples: [
    ['completion bash', 'in ~/.bashrc: source <(forge completion bash)'],
    ['completion zsh', 'in ~/.zshrc, below compinit: source <(forge completion zsh)'],
    ['completion fish', 'in config.fish: forge completion fish | source'],
  ],
  input: z.object({ shell: operand(z.enum(SHELLS), 'bash, zsh or fish') }),
  output: () => z.strictObject({ script: z.string() }),
  run: async (_, { shell }) => ({ script: SCRIPTS[shell] }),
});
