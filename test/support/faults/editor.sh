#!/bin/sh
# A worker in a git worktree. It edits a file of its own and commits it, each kind in its own way, and may be killed at any
# moment: what it finds done it does not do again.
set -eu

forge() { "$FAULT_NODE" "$FAULT_FORGE" orchestrate "$@"; }

# Writes its file, and commits what has changed.
save() {
  printf '%s\n' "$1" > "$FORGE_TASK_ID.txt"
  git add "$FORGE_TASK_ID.txt"
  git diff --cached --quiet || git commit --quiet --message "$FORGE_TASK_ID: $1"
}

# Asks once; ends when there is no answer yet. Prints the chosen option.
asked() {
  answer=$(forge question --decision-key "$FORGE_TASK_ID" --question "Which?" \
    --options-file "$FAULT_PLAY/options.json" --json "$@") || exit 4
  case $answer in *'"status":"answered"'*) ;; *) exit 0 ;; esac
  case $answer in *'"option_id":"keep"'*) echo keep ;; *) echo drop ;; esac
}

echo "$FORGE_TASK_ID $FORGE_ATTEMPT_ID $FORGE_ATTEMPT_NUMBER ${FORGE_COMMAND_PID:-$$}" >> "$FAULT_PLAY/started"
test "$(git branch --show-current)" = "forge/$FORGE_TASK_ID"
test -s "$FORGE_PROMPT_FILE"
# The work of its dependencies is here.
for before in $FAULT_AFTER; do grep -q done "$before.txt" || { echo "$FORGE_TASK_ID lacks $before" >> "$FAULT_PLAY/violations"; exit 9; }; done

case $FAULT_KIND in
  plain) save done ;;
  # Its first result does not pass; the prompt of the next attempt says why.
  wrong)
    if grep -q 'verify.grep' "$FORGE_PROMPT_FILE"; then save done; else save wrong; fi ;;
  forgetful)
    if grep -q 'verify.uncommitted' "$FORGE_PROMPT_FILE"; then save done; else echo begun > "$FORGE_TASK_ID.txt"; fi ;;
  # What it leaves is there for the next attempt.
  crashing)
    if test -e half-done; then rm half-done; save done; else touch half-done; exit 3; fi ;;
  asking) choice=$(asked) ; test -n "$choice" || exit 0; save "done $choice" ;;
  hasty) choice=$(asked --default drop --deadline 1s) ; test -n "$choice" || exit 0; save "done $choice" ;;
  ignored) choice=$(asked --deadline 50ms) ; test -n "$choice" || exit 0; save "done $choice" ;;
  completing)
    save done
    echo '{"verdict": "ready_for_review", "summary": "saved it"}' > "$FORGE_VERDICT_FILE"
    forge complete > /dev/null ;;
esac
