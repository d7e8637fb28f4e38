#!/usr/bin/env bash
# Checks the Markdown files: every link within the tree leads somewhere, and a C++ block below a line
# <!-- FILE --> is word for word that file, which the build compiles.
# usage: markdown.sh SOURCE_FOLDER
set -euo pipefail
cd "$1"

offences=0
blocks=0
offence() {
  echo "markdown: $*" >&2
  offences=$((offences + 1))
}

while IFS= read -r page; do
  while IFS= read -r link; do
    [ -e "$(dirname "$page")/${link%%#*}" ] || offence "$page links to $link, which is not there"
  done < <(awk '/^```/ { code = !code } !code' "$page" | grep -oE '\]\([^)#][^)]*\)' | sed -E 's/^\]\((.*)\)$/\1/' | grep -vE '^[a-z]+:' || true)

  while IFS= read -r file; do
    blocks=$((blocks + 1))
    [ -f "$file" ] || { offence "$page shows $file, which is not there"; continue; }
    sed -n "\\|^<!-- $file -->\$|,/^\`\`\`\$/p" "$page" | sed '1,2d;$d' | diff -u --label "$page" --label "$file" - "$file" >&2 ||
      offence "$page shows another program than $file"
  done < <(sed -nE 's/^<!-- (.*\.cpp) -->$/\1/p' "$page")
done < <(find . -name '*.md' -not -path './build*/*' -not -path './runs/*' -not -path './.git/*' | sort)

[ "$offences" -eq 0 ] || { echo "markdown: $offences offences" >&2; exit 1; }
echo "markdown: $blocks programs"
