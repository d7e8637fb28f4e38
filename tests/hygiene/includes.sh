#!/usr/bin/env bash
# Checks what the files of the library include:
#   core <- kernels <- layers <- models <- training, data -> kernels: an include points left, or into its own folder;
#   a public header (one that is not in a subfolder) has no include of a third party: <...> is a standard header,
#   "..." is "fovea/...", and no header that CMake's lists call INTERNAL;
#   what a public header declares is exported from libfovea.so, and what others declare is not: its namespaces stand
#   between `#pragma GCC visibility push(default)` and `#pragma GCC visibility pop`, but for classes declared before.
# usage: includes.sh SOURCE_FOLDER
set -euo pipefail
cd "$1"

declare -A may_include=(
  [core]="core"
  [kernels]="core kernels"
  [layers]="core kernels layers"
  [models]="core kernels layers models"
  [data]="core kernels data"
  [training]="core kernels layers models data training"
)
offences=0
files=0
offence() {
  echo "includes: $*" >&2
  offences=$((offences + 1))
}

# " core/lru_cache.h kernels/conv_problem.h ... "
internal=" "
for folder in "${!may_include[@]}"; do
  lists=$(tr -s ' \n' '  ' <"$folder/CMakeLists.txt")
  [[ $lists =~ \ INTERNAL\ ([^A-Z]*) ]] || continue
  for header in ${BASH_REMATCH[1]}; do internal+="$folder/$header "; done
done

for folder in "${!may_include[@]}"; do
  while IFS= read -r file; do
    files=$((files + 1))
    while IFS= read -r included; do
      target=${included#fovea/}
      if [[ $included == fovea/*/* ]]; then
        [[ " ${may_include[$folder]} " == *" ${target%%/*} "* ]] ||
          offence "$file includes \"$included\": $folder may include ${may_include[$folder]}"
        [ -f "$target" ] || offence "$file includes \"$included\", and there is no $target"
      elif [ "$included" != fovea/config.h ]; then
        offence "$file includes \"$included\": wanted \"fovea/<folder>/<header>\""
      fi
      if [[ $file == *.h && $file != */*/* && $internal != *" $file "* ]]; then
        [[ $internal != *" $target "* && $target != */*/* ]] ||
          offence "$file is a public header and includes $target, which is internal and not installed"
      fi
    done < <(sed -nE 's/^ *# *include *"([^"]*)".*/\1/p' "$file")
    exported=$(grep -E '^(namespace .*\{|\}  // namespace .*|#pragma GCC visibility .*)$' "$file" |
      sed -E 's/^#.*visibility //; s/^n.*/namespace/; s/^\}.*/end/' | tr '\n' ' ' || true)
    if [[ $file == *.h && $file != */*/* && $internal != *" $file "* ]]; then
      [[ $exported != *namespace* || $exported =~ ^(namespace\ end\ )*push\(default\)\ (namespace\ (namespace\ end\ )*end\ )+pop\ $ ]] ||
        offence "$file is a public header: wanted '#pragma GCC visibility push(default)' before its namespace and 'pop' behind"
    else
      [[ $exported != *push* ]] || offence "$file is no public header, and exports what it declares"
    fi
    if [[ $file == *.h && $file != */*/* ]]; then
      while IFS= read -r included; do
        offence "$file is a public header and includes <$included>, which is no standard header"
      done < <(sed -nE 's/^ *# *include *<([^>]*[./][^>]*)>.*/\1/p' "$file")
    fi
  done < <(find "$folder" -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' | sort)
done

[ "$files" -gt 0 ] || offence "no source files under $1"
[ "$offences" -eq 0 ] || { echo "includes: $offences offences" >&2; exit 1; }
echo "includes: $files files"
