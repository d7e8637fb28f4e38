#!/usr/bin/env bash
# Installs a build of Fovea into a stage, as packages are made, moves it elsewhere, and uses its programs and recipes
# there, from a folder that has nothing to do with it.
# usage: programs.sh BUILD_FOLDER [PROGRAMS THAT THE BUILD HAS]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(cd "$1" && pwd)
shift
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
fail() {
  echo "install_programs: $*" >&2
  exit 1
}
# wanted WORDS COMMAND...: standard output and error of a command that succeeds have WORDS.
wanted() {
  local words=$1 log
  shift
  log=$("$@" 2>&1) || fail "$* failed: $log"
  grep -qF -- "$words" <<<"$log" || fail "$* said '$log', wanted '$words'"
}

DESTDIR=$tree/stage cmake --install "$build" --prefix /opt/fovea >"$tree/log"
mkdir "$tree/moved" "$tree/work"
mv "$tree/stage/opt/fovea" "$tree/moved/here"
installed=$tree/moved/here
leftover=$(find "$tree/stage" -type f)
[ -z "$leftover" ] || fail "these are not under the prefix: $leftover"
for name in LICENSE README.md CHANGELOG.md CITATION.cff environment.md guide.md third_party.md; do
  [ -s "$installed/share/doc/fovea/$name" ] || fail "share/doc/fovea/$name is missing"
done
version=$(sed -nE 's/^#define FOVEA_VERSION "(.*)"/\1/p' "$installed/include/fovea/config.h")
grep -qx "version: $version" "$installed/share/doc/fovea/CITATION.cff" || fail "CITATION.cff is not of version $version"
grep -q "^## $version - " "$installed/share/doc/fovea/CHANGELOG.md" || fail "CHANGELOG.md says nothing of version $version"
found=$(cd "$installed" && find bin share/fovea -type f 2>/dev/null | sort | tr '\n' ' ')
expected=$(for program in "$@"; do
  echo "bin/$program"
  if [ "$program" = cifar_trainer ]; then
    echo share/fovea/fovea_torch.py
    echo share/fovea/scripts/check_onnx.py
    printf 'share/fovea/settings/%s.toml\n' fast paper quick report strong
    (cd "$root/models/weights" && find . -name '*.safetensors' -o -name '*.md') | sed 's|^\./|share/fovea/weights/|'
  fi
done | sort | tr '\n' ' ')
[ "$found" = "$expected" ] || fail "found programs and recipes '$found', wanted '$expected'"

# Components: a machine that only runs programs needs no headers, one that only compiles no programs.
for component in runtime library development; do
  DESTDIR=$tree/$component cmake --install "$build" --prefix /opt/fovea --component $component >>"$tree/log"
  files=$(cd "$tree/$component/opt/fovea" && find . -not -type d | sed 's|^\./||')
  others=$(case $component in
    runtime) grep -vE '^(bin/|share/|lib.*/fovea/cifar_trainer_(mpi|nccl)\.so$)' ;;
    library) grep -vE '^(lib.*/libfovea(_onnx|_mpi|_nccl)?\.so\.|share/doc/fovea/LICENSE$)' ;;
    development) grep -vE '^(include/fovea/|share/doc/fovea/|lib.*/(libfovea(_onnx|_mpi|_nccl)?\.(a|so)$|cmake/fovea/|pkgconfig/))' ;;
  esac <<<"$files" || true)
  [ -z "$others" ] || fail "component $component has $others"
  grep -qx share/doc/fovea/LICENSE <<<"$files" || fail "component $component has no LICENSE"
  echo "$files"
done | sort -u >"$tree/components"
(cd "$installed" && find . -not -type d | sed 's|^\./||' | sort) | diff - "$tree/components" ||
  fail "the components together are not what is installed without --component: see above"

# A trainer that was not built brings no recipes.
if [[ " $* " == *" cifar_trainer "* ]]; then
  script=$build/tools/cifar_trainer/cmake_install.cmake
  sed -E "s#$build/(bin/cifar_trainer|[^\"]*/cifar_trainer_(mpi|nccl)\.so)#$tree/not built#g" "$script" >"$tree/without.cmake"
  ! cmp -s "$script" "$tree/without.cmake" || fail "$script does not name $build/bin/cifar_trainer"
  DESTDIR=$tree/stage cmake -DCMAKE_INSTALL_PREFIX=/opt/without -P "$tree/without.cmake" >>"$tree/log"
  found=$(find "$tree/stage" -type f)
  [ -z "$found" ] || fail "without a trainer these were installed: $found"
fi

# What a module wants of Fovea, the program must export: nothing says so before a module is loaded.
for module in "$installed"/lib*/fovea/*.so "$installed"/lib*/*/fovea/*.so; do
  [ -e "$module" ] || continue
  needed=$(nm -D --undefined-only "$module" | awk '$1 == "U" && /fovea/ { print $2 }' | sort -u)
  [ -n "$needed" ] || fail "$module wants nothing of Fovea, found: $(nm -D --undefined-only "$module" | head -3)"
  missing=$(comm -23 <(echo "$needed") <(nm -D --defined-only "$installed/bin/cifar_trainer" | awk '{ print $3 }' | sort -u))
  [ -z "$missing" ] || fail "cifar_trainer does not export what ${module##*/} wants: $(c++filt <<<"$missing")"
done

cd "$tree/work"
# CMake pads those of a build with colons.
run_paths() { readelf -d "$1" | sed -nE 's/.*\(R(UN)?PATH\).*\[(.*)\].*/\2/p' | sed 's/:*$//'; }
for program in "$@"; do
  path=$installed/bin/$program
  # Where a build found libraries outside of the system's folders, as cuDNN may be, what is installed finds them, too.
  [ "$(run_paths "$path")" = "$(run_paths "$build/bin/$program")" ] ||
    fail "$program looks for libraries in '$(run_paths "$path")', that of the build in '$(run_paths "$build/bin/$program")'"
  [[ $(run_paths "$path") != *"$build"* ]] || fail "$program looks for libraries in the build folder"
  # The manual page has the options of the program and its commands, and no others.
  page=$installed/share/man/man1/$program.1
  [ -s "$page" ] || fail "$program has no manual page $page"
  options() { grep -oE -- '--[a-z][a-z0-9_-]*[a-z0-9]' | sort -u; }
  of_program=$({
    "$path" --help
    "$path" --help | sed -nE '/^Subcommands:/,/^$/s/^  ([a-z]+) .*/\1/p' | xargs -I{} "$path" {} --help
  } | options)
  diff <(sed 's/\\-/-/g' "$page" | options) - <<<"$of_program" || fail "$page and $program --help differ: see above"
  grep -q "^\.TH ${program^^} 1 \"\" \"Fovea [0-9.]*\"" "$page" || fail "$page has no title with the version"
  missing=$(ldd "$path" | grep 'not found' || true)
  [ -z "$missing" ] || fail "$program: $missing"
  case $program in
    cifar_trainer)
      wanted "cifar_trainer " "$path" --version
      wanted 1841242 "$path" info --model attention92
      wanted "2 steps" "$path" train --config paper --model attention-nano --dataset synthetic --limit 64 \
        --test-limit 16 --batch-size 16 --max-steps 2 --device cpu --out run
      grep -q '^milestones = \[0.4, 0.6\]' run/settings.toml || fail "the run does not have the recipe's milestones"
      # By a link, too, and a recipe that there is not says which there are.
      ln -s "$path" trainer
      log=$(./trainer train --config papre --device cpu --out other 2>&1) && fail "there is no recipe papre, found: $log"
      for words in "$installed/share/fovea/settings" "fast, paper, quick, report, strong" "did you mean paper?"; do
        grep -qF -- "$words" <<<"$log" || fail "papre: found '$log', wanted '$words'"
      done
      ;;
    fovea_bench) wanted upsample_forward "$path" --benchmark_list_tests ;;
    fovea_step_time) wanted '"threads"' "$path" --mode inference --batch 2 --steps 1 ;;
    *) fail "there is no check of $program" ;;
  esac
done
echo "install_programs: $*"
