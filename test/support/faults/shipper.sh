#!/bin/sh
# A worker whose work is reviewed and merged. It may be killed at any moment: what it finds done it does not do again.
#
# FAULT_KIND     plain; line: edits a line that FAULT_WITH edits too; port: takes a number that FAULT_WITH takes too;
#                wrong: its first result does not pass; asking: asks; picky: its reviewer wants more
# FAULT_AFTER    tasks whose work must be there
# FAULT_BASE     the branch that it is merged into
set -eu

forge() { "$FAULT_NODE" "$FAULT_FORGE" orchestrate "$@"; }
told() { grep -q "$1" "$FORGE_PROMPT_FILE"; }
complain() { echo "$id: $*" >> "$FAULT_PLAY/violations"; exit 9; }

# Writes its file, and commits what has changed.
save() {
  mkdir -p work
  printf '%s\n' "$1" > "work/$id.txt"
  git add --all
  git diff --cached --quiet || git commit --quiet --message "$id: $1"
}

# Works at the same time as the other: neither has the other's work.
meet() {
  : > "$FAULT_PLAY/here-$id"
  until test -e "$FAULT_PLAY/here-$FAULT_WITH"; do sleep 0.1; done
}

# Brings the work of others in, and settles what it is in conflict about.
merge_base() {
  git merge --quiet --no-edit "$FAULT_BASE" > "$FAULT_PLAY/merge-$FORGE_ATTEMPT_ID" 2>&1 || true
  "$@"
  git add --all
  if test -e "$(git rev-parse --git-path MERGE_HEAD)"; then git commit --quiet --no-edit
  else git diff --cached --quiet || git commit --quiet --message "$id: settle"; fi
}
both_lines() { echo 'shared: left right' > shared.txt; }
next_port() { echo 8001 > "ports/$id"; }

id=$FORGE_TASK_ID
echo "$id $FORGE_ATTEMPT_ID" >> "$FAULT_PLAY/started"
# What a killed one has left half done.
git reset --quiet --hard
test "$(git branch --show-current)" = "forge/$id"
for before in $FAULT_AFTER; do
  grep -q done "work/$before.txt" || complain "lacks the work of $before"
  git merge-base --is-ancestor "forge/$before" "$FAULT_BASE" || complain "began before $before was merged"
done

case $FAULT_KIND in
  plain) save done ;;
  line)
    meet
    if told ship.conflict; then merge_base both_lines
    elif ! grep -q "$id" shared.txt; then echo "shared: $id" > shared.txt; fi
    save done ;;
  port)
    meet
    mkdir -p ports
    if told ship.verify; then merge_base next_port
    elif ! test -e "ports/$id"; then echo 8000 > "ports/$id"; fi
    save done ;;
  wrong) if told verify.grep; then save done; else save wrong; fi ;;
  picky) if told review.changes && told 'polish it'; then save 'done and polished'; else save done; fi ;;
  asking)
    answer=$(forge question --decision-key "$id" --question 'Which?' --options-file "$FAULT_PLAY/options.json" --json)
    case $answer in *'"status":"answered"'*) ;; *) exit 0 ;; esac
    case $answer in *'"option_id":"keep"'*) save 'done keep' ;; *) save 'done drop' ;; esac ;;
esac
