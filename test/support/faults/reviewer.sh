#!/bin/sh
# Reviews what `shipper.sh` has done: what it is told to look at must be there, and one of them has to do more.
set -eu

id=$FORGE_TASK_ID
complain() { echo "review of $id: $*" >> "$FAULT_PLAY/violations"; exit 9; }

echo "$id $FORGE_ATTEMPT_ID $FORGE_REVIEW_HEAD" >> "$FAULT_PLAY/reviews"
test "$FORGE_PHASE" = review || complain "phase $FORGE_PHASE"
test "$(git rev-parse HEAD)" = "$FORGE_REVIEW_HEAD" || complain "the head is not checked out"
git diff --name-only "$FORGE_REVIEW_BASE...$FORGE_REVIEW_HEAD" | grep -q "^work/$id.txt$" || complain "no work in the range"
grep -q "$FORGE_REVIEW_HEAD" "$FORGE_PROMPT_FILE" || complain "the prompt does not name the head"

if test "$id" = picky && ! grep -q polished "work/$id.txt"; then
  echo '{"verdict": "changes_requested", "findings": [{"severity": "block", "path": "work/picky.txt", "line": 1, "message": "polish it"}]}'
else
  echo '{"verdict": "pass", "findings": []}'
fi > "$FORGE_REVIEW_FILE"
