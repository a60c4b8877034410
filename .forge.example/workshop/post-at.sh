#!/bin/sh
# Puts the report up at one board, and tells the task that has sent it there.
set -eu
mkdir -p "forge-boards/$1"
cp forge-report/harbour-tides.tar.gz "forge-boards/$1/"
cp "$FORGE_INPUT_FILE" "forge-boards/$1/posted.json"
echo "\"at the $1\"" > "$FORGE_RESULT_FILE"
