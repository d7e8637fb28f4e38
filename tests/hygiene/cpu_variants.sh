#!/usr/bin/env bash
# Checks the static library of a build with several variants of the CPU's kernels: registers that not every x86-64
# processor has are used in the variants' own objects alone, and those share no function with the rest.
# usage: cpu_variants.sh LIBFOVEA_A sse2 VARIANT...
set -euo pipefail
library=$1
shift 2

offences=0
offence() {
  echo "cpu_variants: $*" >&2
  offences=$((offences + 1))
}

# "member widest function" of each object, by the first instruction with the widest registers: 1 is xmm or none, 2 ymm,
# 3 zmm or a mask.
widths=$(objdump -d --no-show-raw-insn "$library" | awk '
  function told() { if (member != "") print member, widest, where }
  /: +file format / { told(); member = $1; sub(/:$/, "", member); widest = 1; where = "-" }
  /^[0-9a-f]+ <.*>:$/ { current = $2 }
  widest < 2 && /%ymm/ { widest = 2; where = current }
  widest < 3 && /%zmm|%k[0-7]/ { widest = 3; where = current }
  END { told() }')

others=0
while read -r member widest where; do
  case $member in
    fovea_cpu_avx2.o) [ "$widest" = 2 ] || offence "$member: wanted ymm registers, and no wider ones: $where" ;;
    fovea_cpu_avx512*.o) [ "$widest" = 3 ] || offence "$member makes no use of zmm registers" ;;
    *)
      others=$((others + 1))
      [ "$widest" = 1 ] || offence "$member is for every processor, and not all have the registers of $where"
      ;;
  esac
done <<<"$widths"
[ "$others" -gt 0 ] || offence "$library has no objects but the variants'"

for variant in "$@"; do
  # What others could link with: functions and data of the variant's own namespace.
  prefix=_ZN5fovea7kernels3cpu${#variant}$variant
  symbols=$(nm -A --defined-only --extern-only "$library" 2>/dev/null |
    awk -v member="fovea_cpu_$variant.o" 'index($0, ":" member ":") { print $NF }')
  grep -q "^$prefix" <<<"$symbols" || offence "$library has no kernels for $variant"
  while IFS= read -r symbol; do
    [ -z "$symbol" ] || offence "fovea_cpu_$variant.o defines $symbol for all of the library"
  done < <(grep -v "^$prefix" <<<"$symbols")
done

[ "$offences" -eq 0 ] || { echo "cpu_variants: $offences offences" >&2; exit 1; }
echo "cpu_variants: $# variants, $others other objects"
