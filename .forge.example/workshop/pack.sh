#!/bin/sh
# Seals the report with checksums and packs it into one file to hand on.
set -eu
node .forge/workshop/seal.mjs forge-report
cd forge-report
tar -cf - SHA256SUMS index.html summary.txt tide.svg data | gzip -9 > harbour-tides.tmp
mv harbour-tides.tmp harbour-tides.tar.gz
echo "forge-report/harbour-tides.tar.gz: $(wc -c < harbour-tides.tar.gz | tr -d ' ') bytes"
