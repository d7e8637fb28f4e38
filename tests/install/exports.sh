#!/usr/bin/env bash
# Checks what shared libraries export: names of namespace fovea alone, of its version, none that only internal headers
# declare, and what a program needs at least.
# usage: exports.sh SOURCE_FOLDER SOVERSION LIBRARY...
set -euo pipefail
cd "$1"
soversion=$2
shift 2
offences=0
offence() {
  echo "install_exports: $*" >&2
  offences=$((offences + 1))
}
# lists WORD FOLDER: the headers that its CMakeLists.txt has under WORD.
lists() {
  local text
  text=$(tr -s ' \n' '  ' <"$2/CMakeLists.txt")
  [[ $text =~ \ $1\ ([^A-Z]*) ]] || return 0
  for header in ${BASH_REMATCH[1]}; do echo "$2/$header"; done
}
public=()
internal=()
for folder in core kernels layers models data training; do
  mapfile -t -O ${#public[@]} public < <(lists HEADERS $folder; lists DETAILS $folder)
  mapfile -t -O ${#internal[@]} internal < <(lists INTERNAL $folder)
done
# A kernel that a public header declares is called by its inline callable, so that its function in cpu is exported, too.
kernels=$(cat "${public[@]}" | sed -nE 's/^FOVEA_(MULTIPLYING_)?KERNEL\((\w+),.*/\2/p' | sort -u)
classes_of() { cat "$@" | sed -nE 's/^(class|struct) (\w+)( final)?( :.*)? \{.*/\2/p' | sort -u; }
# A name that a public header has, too, is no sign of an internal one.
hidden=$(comm -23 <(classes_of "${internal[@]}" kernels/cpu/*.h kernels/cpu/conv/*.h) <(classes_of "${public[@]}"))
[ "$(wc -w <<<"$hidden")" -ge 20 ] || offence "found only these internal classes, wanted 20 or more: $hidden"

for library in "$@"; do
  name=$(basename "$library")
  mangled=$(nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }')
  [ "$(wc -l <<<"$mangled")" -ge 5 ] || offence "$name exports '$mangled', wanted more"
  demangled=$(nm -DC --defined-only --without-symbol-versions "$library" | sed -E 's/^[0-9a-f]* *. //')
  foreign=$(grep -vE '^_Z(N|NK|T[VTIS]N|T[WH]N|T[hvc].*_N|ZN|ZNK|GV.*N)5fovea' <<<"$mangled" || true)
  [ -z "$foreign" ] || offence "$name exports names that are not of namespace fovea: $(head -5 <<<"$foreign" | c++filt)"
  without=$(grep -vF "@@FOVEA_$soversion" <<<"$mangled" || true)
  [ -z "$without" ] || offence "$name exports names without the version FOVEA_$soversion: $(head -5 <<<"$without")"
  while IFS= read -r function; do
    grep -qxF "${function##*::}" <<<"$kernels" ||
      offence "$name exports kernels::cpu::$function, which no public header declares"
  done < <(sed -nE 's/^(.* )?fovea::kernels::cpu::((\w+::)*~?\w+).*/\2/p' <<<"$demangled" | sort -u)
  for class in $hidden; do
    leaked=$(grep -E "^(vtable for |typeinfo for )?fovea::(\w+::)*$class(::|$)" <<<"$demangled" | head -1 || true)
    [ -z "$leaked" ] || offence "$name exports $leaked, and $class is declared in no public header"
  done
  [ "$(readelf -d "$library" | sed -nE 's/.*SONAME.*\[(.*)\]/\1/p')" = "${name%%.so*}.so.$soversion" ] ||
    offence "$name is not called ${name%%.so*}.so.$soversion: $(readelf -d "$library" | grep SONAME)"
  if [[ $name == libfovea.so* ]]; then
    for wanted in 'typeinfo for fovea::Error' 'fovea::make_model\(' 'fovea::F::relu\(' 'kernels::cpu::(\w+::)?relu_forward\('; do
      grep -qE "$wanted" <<<"$demangled" || offence "$name does not export $wanted"
    done
  fi
  echo "install_exports: $name exports $(wc -l <<<"$mangled") names"
done
[ "$offences" -eq 0 ] || { echo "install_exports: $offences offences" >&2; exit 1; }
