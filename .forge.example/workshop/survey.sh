#!/bin/sh
# A first look at the raw readings: how many lines, and how many of them do not even look like a reading.
set -eu
cd "$(dirname "$0")/raw"

survey() { # survey FILE PATTERN
  awk -v name="$1" -v pattern="$2" '
    $0 !~ pattern { odd++; next }
    first == "" { first = $0 }
    { last = $0 }
    END { printf "%s: %d lines, %d odd, from %s to %s\n", name, NR, odd, first, last }
  ' "$1"
}

{
  survey pier-2025-03.csv '^[0-9]+,[0-9:]+,-?[0-9]+$'
  survey breakwater-2025-03.jsonl '^[{]"t":[0-9]+,"ft":-?[0-9.]+[}]$'
} | tee SURVEY.txt
