/** The files that a new project starts with. They run as they are, and their comments teach the format. */

import { oneLine } from '../lib/text.ts';

/**
 * The first `plans/phases.yaml` of a project. Its tasks need only /bin/sh and write only below `.forge/scratch`. `schemaPath` is
 * the path from the plan to phases.schema.json, for editors.
 */
export function firstPlan(projectName: string, schemaPath: string): string {
  return `# yaml-language-server: $schema=${oneWord(schemaPath)}
#
# A plan: phases of tasks. Try it with
#
#   forge orchestrate run
#
# and then put your own work in. Every key is explained in spec/PLAN.md.

project: ${JSON.stringify(oneLine(projectName, 100) || 'my-project')}

phases:
  - id: phase-1
    name: Look around
    tasks:
      # \`run\` is a command line for /bin/sh, started in the project folder. The task is done when it exits with 0.
      - id: count-files
        title: Count the files of the project
        run: |
          mkdir -p .forge/scratch
          find . -path ./.git -prune -o -path ./.forge -prune -o -path ./node_modules -prune -o -type f -print \\
            | wc -l > .forge/scratch/files.txt

      # Tasks that wait for nothing run at the same time. Of those that are ready P0 starts first, then P1 (the
      # default), then P2.
      - id: check-tools
        title: See which tools are here
        priority: P0
        # An attempt that takes longer is stopped and counts as failed. Durations: 500ms, 30s, 5m, 2h, 1d.
        timeout: 30s
        # A failed attempt is tried again: three times in all, after 1s and then after 2s. The built-in policy allows ten.
        retry:
          max_attempts: 3
          base: 1s
        run: |
          mkdir -p .forge/scratch
          for tool in git node make; do
            command -v "$tool" || echo "$tool is not installed"
          done > .forge/scratch/tools.txt

      # A task starts when everything it depends on is done.
      - id: summary
        title: Put both into one summary
        depends_on: [count-files, check-tools]
        run: |
          {
            echo "Files: $(cat .forge/scratch/files.txt)"
            cat .forge/scratch/tools.txt
          } > .forge/scratch/summary.txt

  - id: phase-2
    name: Tell
    # Nothing in here starts before all of phase-1 is finished.
    blocked_by: phase-1
    tasks:
      - id: show-summary
        title: Show what was found
        run: cat .forge/scratch/summary.txt

      # Without \`run\` a task is done by agents.worker of the settings; without that it waits for an agent, which takes it
      # with \`forge orchestrate claim\`. Remove the "#" to try.
      # - id: improve-readme
      #   title: Describe in the README how the project is tested
      #   description: |
      #     What the agent needs to know goes here.
      #   depends_on: [show-summary]
      #   # The files it will write; tasks that would write the same locked file do not run at once.
      #   write_globs: [README.md]
      #   # When it counts as done, for the reader. What a command can check belongs in \`verify\`.
      #   acceptance:
      #     - The README names the command that runs all tests.
`;
}

/**
 * The first `.forge/settings.yaml`: every setting with its default, commented out. `schemaPath` is the path from it to
 * settings.schema.json, for editors.
 */
export function firstSettings(schemaPath: string): string {
  return `# yaml-language-server: $schema=${oneWord(schemaPath)}
#
# Everything here may be left out; what is commented out shows the default. Durations are milliseconds, or text with a
# unit: 500ms, 30s, 5m, 2h, 1d. Keys that start with x- are yours. Every key is explained in spec/PLAN.md.

version: 1

# project:
#   name: my-project
#   description: What it is.

# Where the plan is. Default: plans/phases.yaml, phases.yaml or .forge/plans/phases.yaml, the first that exists.
# plan: plans/phases.yaml

# agents:
#   max_parallel: 4               # tasks at once in one run; default: one for each core
#   lease_ttl_ms: 30m             # how long a claim holds without a heartbeat
#   heartbeat_interval_ms: 5m     # how often an agent sends one
#   steal_grace_ms: 5m            # how long a lease is left alone after its end
#   self_lease_ttl_ms: 60s        # the first two, for workers that run and exec start
#   self_heartbeat_ms: 15s
#   kill_grace_ms: 10s            # from SIGTERM to SIGKILL
#   retry_attempts: 10            # where no retry policy says otherwise
#   retry_backoff_ms_max: 5m
#   question_timeout_ms: 30m
#   question_max_attempts: 3      # per decision
#   question_budget:              # per task
#     soft: 3
#     hard: 6
#   worktree_root: .forge/worktrees
#   worktree_copy: [.env, AGENTS.md]      # what git does not track and worktrees need; the default list is longer
#   hard_lock_globs: [package.json, "migrations/**"]   # the default list is longer
#   preflight_globs: []
#   overlap: lenient              # or strict
#   worker: claude                # or codex, cursor, gemini: does tasks without run, unasked; default: they wait
#   worker_command: my-agent --task "$FORGE_PROMPT_FILE"   # does them in its place
#   log_rotate_max_bytes: 10485760

# When failed attempts are tried again. Default: 10 attempts, 1s after the first, doubling up to 5m.
# retry:
#   max_attempts: 10
#   base: 1s
#   cap: 5m

# Names for kinds of failure, to retry on; the first that matches wins.
# errors:
#   - class: network
#     output: "ECONNRESET|ETIMEDOUT"

# What every result must pass, besides the verify of its task.
# verify:
#   commands: [npm test]

# With worktree each task gets a git worktree and a branch of its own.
# workspace: none

# review:
#   command: ./review.sh

# With merge the branch of a reviewed task is merged into base; default: the branch of the main checkout.
# ship:
#   policy: none
#   base: main

# none, or file: the issues of a YAML file follow the tasks. github is not done yet.
# tracker:
#   type: none
#   path: plans/tracker.yaml      # for file
`;
}

/** A path with blanks or line breaks would end the editor's line early. */
function oneWord(path: string): string {
  return path.replace(/\s/g, encodeURIComponent);
}
