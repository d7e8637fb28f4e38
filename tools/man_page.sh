#!/usr/bin/env bash
# Writes the man page of a program from what its --help says, and that of each of its subcommands.
# usage: man_page.sh PROGRAM "WHAT IT IS" "FOVEA VERSION" PAGE
set -euo pipefail
program=$1 what=$2 version=$3 page=$4
name=$(basename "$program")
[ -x "$program" ] || { echo "man_page: $program is no program that can be run; build it first" >&2; exit 1; }

# roff HELP [COMMAND]: the text of a help as sections, or those of a command as parts of one.
roff() {
  awk -v command="${2:-}" '
    function escaped(text) {
      gsub(/\\/, "\\e", text)
      gsub(/-/, "\\-", text)
      return text ~ /^[.\047]/ ? "\\\\&" text : text
    }
    function heading(text) {
      if (command == "") print ".SH " toupper(text)
      else print ".PP\n.B " text
    }
    function end_of_lines() {
      if (in_lines) print ".fi\n.RE"
      in_lines = 0
    }
    function begin_lines() {
      if (!in_lines) print ".PP\n.RS 2\n.nf"
      in_lines = 1
    }
    function item(name, text) {
      print ".TP\n.B " escaped(name)
      if (text != "") print escaped(text)
    }
    BEGIN {
      if (command != "") print ".SH " toupper(command)
    }
    NR == 1 && !/^usage:/ {
      if (command == "") print ".SH DESCRIPTION"
      print escaped($0)
      next
    }
    /^Usage: / {
      if (command != "") print ".PP\n.B " escaped(substr($0, 8))
      next
    }
    NR == 1, /^$/ { next }  # a usage of several lines is the synopsis
    /^$/ { blank = 1; next }
    /^[A-Z][A-Za-z ]*:$/ {
      end_of_lines()
      kind = substr($0, 1, length($0) - 1)
      heading(kind)
      if (kind == "Examples") begin_lines()
      is_list = kind != "Examples"
      blank = 0
      next
    }
    is_list && /^  [^ ]/ {
      text = substr($0, 3)
      if (match(text, /   *[^ ]/)) item(substr(text, 1, RSTART - 1), substr(text, RSTART + RLENGTH - 1))
      else item(text, "")
      blank = 0
      next
    }
    is_list && /^   / { sub(/^ */, ""); print escaped($0); next }
    /^ / { begin_lines(); print escaped($0); blank = 0; next }
    {
      end_of_lines()
      is_list = 0
      if (blank) print ".PP"
      blank = 0
      print escaped($0)
    }
    END { end_of_lines() }' <<<"$1"
}

exec >"$page.part"
help=$("$program" --help)
synopsis=$(awk 'NR == 1 && !/^usage:/ { next } /^$/ { exit } { sub(/^[Uu]sage: */, ""); print }' <<<"$help")
printf '.TH %s 1 "" "Fovea %s" "Fovea"\n' "${name^^}" "$version"
printf '.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n.nf\n%s\n.fi\n' "$name" "$what" "${synopsis//-/\\-}"
[[ $help == usage:* ]] && echo '.SH DESCRIPTION'
roff "$help"
while IFS= read -r command; do
  roff "$("$program" "$command" --help)" "$command"
done < <(sed -nE '/^Subcommands:/,/^$/s/^  ([a-z]+) .*/\1/p' <<<"$help")
mv "$page.part" "$page"
