#!/bin/sh
# A worker that checks that it works alone. It holds a lock that names its process while it works; a worker that finds the
# lock of a living process of another attempt writes that down, because then two worked on one task at once.
#
# FAULT_PLAY   the folder for locks, marks and complaints
# FAULT_KIND   plain; stubborn: ignores SIGTERM; parent: leaves a stubborn child in the background;
#              flaky: fails the first time; polite: says when SIGTERM came, and exits; deaf: says so, and goes on
# FAULT_AFTER  tasks that must be done before
# FAULT_GATE   a name: works until the file gate-<name> is there
# FAULT_WORK   seconds of work, when there is no gate

play=$FAULT_PLAY
task=$FORGE_TASK_ID
attempt=$FORGE_ATTEMPT_ID

complain() {
  echo "$task, attempt $attempt: $*" >> "$play/violations"
}

# Whether process $1 lives and belongs to attempt $2.
alive() {
  kill -0 "$1" 2> /dev/null || return 1
  [ -d /proc/self ] || return 0
  tr '\0' '\n' < "/proc/$1/environ" 2> /dev/null | grep -qx "FORGE_ATTEMPT_ID=$2"
}

# The lock appears under its name with its content, so it is never read half written.
take() {
  echo "$$ $attempt" > "$play/locks/$1.$attempt"
  while ! ln "$play/locks/$1.$attempt" "$play/locks/$1" 2> /dev/null; do
    read -r pid other < "$play/locks/$1" || continue
    if alive "$pid" "$other"; then complain "process $pid of attempt $other still works on $1"; fi
    mv -f "$play/locks/$1.$attempt" "$play/locks/$1"
    break
  done
}

if [ "$1" = child ]; then
  trap '' TERM
  take "$task.child"
  while :; do sleep 1; done
fi

case $FAULT_KIND in
  stubborn) trap '' TERM ;;
  polite) trap ': > "$play/termed-$attempt"; exit 0' TERM ;;
  deaf) trap ': > "$play/termed-$attempt"' TERM ;;
esac

take "$task"
for before in $FAULT_AFTER; do
  [ -e "$play/done-$before" ] || complain "started before $before was done"
done
if [ "$FAULT_KIND" = parent ]; then
  sh "$0" child &
  # The child has its lock before this attempt can end.
  until [ "$(cut -d' ' -f2 "$play/locks/$task.child" 2> /dev/null)" = "$attempt" ]; do sleep 0.01; done
fi
echo "$task $attempt $FORGE_ATTEMPT_NUMBER $FORGE_GENERATION ${FORGE_COMMAND_PID:-$$}" >> "$play/started"

if [ -n "$FAULT_GATE" ]; then
  until [ -e "$play/gate-$FAULT_GATE" ]; do sleep 0.1; done
else
  sleep "${FAULT_WORK:-0}"
fi

rm -f "$play/locks/$task"
if [ "$FAULT_KIND" = flaky ] && [ ! -e "$play/failed-$task" ]; then
  : > "$play/failed-$task"
  exit 7
fi
: > "$play/done-$task"
: > "$play/finished-$attempt"
