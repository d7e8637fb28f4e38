#!/usr/bin/env bash
# Runs the scripts in tools/ on a pretended system: what they install and when they install nothing, where the
# quickstart finds images, and what they say when they cannot go on. gpu_pack_test.py and gpu_check_test.py do so with
# gpu_check.
# usage: scripts_test.sh SOURCE_FOLDER
set -euo pipefail
system=$(mktemp -d)
trap 'rm -rf "$system"' EXIT
mkdir "$system/clone" "$system/bin"
cp -r "$1/tools" "$system/clone/tools"
tools=$system/clone/tools

# A PATH with the few real programs that the scripts need, and pretended others that keep a log.
for program in bash cat grep env dirname awk sed mkdir date chmod nohup sleep timeout touch; do
  ln -s "$(command -v "$program")" "$system/bin/$program"
done
pretend() {
  printf '#!%s\n%s\n' "$(command -v bash)" "$2" >"$system/bin/$1"
  chmod +x "$system/bin/$1"
}
pretend apt-get "echo \"apt-get \$*\" >>$system/log"
pretend sudo "echo \"sudo \$1\" >>$system/log; exec \"\$@\""

fail() {
  echo "scripts_test: $*" >&2
  exit 1
}

# run STATUS WORDS COMMAND...: the command ends with that exit status, and its output has WORDS.
run() {
  local wanted=$1 words=$2 output status=0
  shift 2
  : >"$system/log"
  output=$(cd / && env -i HOME="$system/home" PATH="$system/bin" "$@" 2>&1) || status=$?
  [ "$status" -eq "$wanted" ] || fail "'$*' ended with $status, wanted $wanted, and said '$output'"
  grep -qF -- "$words" <<<"$output" || fail "'$*' said '$output', wanted '$words'"
}
log_has() { grep -qF -- "$1" "$system/log" || fail "no '$1' in the log: $(cat "$system/log")"; }
log_lacks() { ! grep -qF -- "$1" "$system/log" || fail "'$1' is in the log: $(cat "$system/log")"; }
log_is_empty() { [ ! -s "$system/log" ] || fail "the log should be empty: $(cat "$system/log")"; }

# Packages.
pretend id 'echo 0'
pretend dpkg-query 'echo installed'
run 0 'packages are there' "$tools/install_packages.sh"
log_is_empty

pretend dpkg-query '[ "${!#}" = cmake ] || echo installed'
run 0 'installing cmake' "$tools/install_packages.sh"
log_has 'apt-get update'
log_has '--no-install-recommends --no-remove cmake'

pretend dpkg-query '[ "${!#}" = dataset-fashion-mnist ] || echo installed'
run 0 'installing dataset-fashion-mnist' "$tools/install_packages.sh" dataset-fashion-mnist

pretend id 'echo 1000'
run 0 'installing dataset-fashion-mnist' "$tools/install_packages.sh" dataset-fashion-mnist
log_has 'sudo apt-get'

run 0 'installing' "$tools/install_packages.sh" --at-most 60 dataset-fashion-mnist
log_has '--download-only dataset-fashion-mnist'
log_has '--no-remove dataset-fashion-mnist'
pretend apt-get "echo \"apt-get \$*\" >>$system/log; exec sleep 60"
run 124 'installing' "$tools/install_packages.sh" --at-most 1 dataset-fashion-mnist
log_lacks '--no-remove dataset-fashion-mnist'
pretend apt-get "echo \"apt-get \$*\" >>$system/log"

rm "$system/bin/sudo"
run 1 'apt-get install --no-install-recommends dataset-fashion-mnist' \
  "$tools/install_packages.sh" dataset-fashion-mnist
log_is_empty

# The quickstart, with a trainer that writes down its arguments and a result. It has the datasets whose names are
# files in $system/here; a fetch that may take as long as it needs waits for a file $system/arrives.
pretend dpkg-query 'echo installed'
mkdir "$system/here"
cat >"$system/trainer" <<'END'
echo "trainer $*" >>SYSTEM/log
case "$*" in
  *--epoch\ *) echo 'there is no flag "--epoch"'; exit 2 ;;
  *--dry-run) exit ;;
  datasets*) [ -e "SYSTEM/here/$2" ]; exit ;;
  *--at-most*) [ FETCH -ne 0 ] || touch SYSTEM/here/cifar10; exit FETCH ;;
  fetch*)
    [ FETCH -lt 2 ] || exit FETCH
    for ((i = 0; i < 1200; ++i)); do
      [ ! -e SYSTEM/arrives ] || { touch SYSTEM/here/cifar10; exit; }
      sleep 0.05
    done
    exit 3 ;;
esac
while [ "$1" != --out ]; do shift; done
mkdir -p "$2"
# Long enough for what arrives.
while [ -e SYSTEM/arrives ] && [ ! -e SYSTEM/here/cifar10 ]; do sleep 0.05; done
echo '{"test_accuracy": 0.4321, "test_loss": 1.5}' >"$2/summary.json"
END
# pretend_build STATUS [CUDA] [PRESET]: a cmake that says that CUDA is CUDA, or fails to look for it, and builds in
# PRESET that trainer, whose fetch ends with STATUS.
pretend_build() {
  local folder=$system/clone/build/${3:-cpu}/bin
  pretend cmake "echo \"cmake \$*\" >>$system/log
    [[ \$* != *-DFOVEA_CUDA=AUTO* ]] || { ${2:+echo '--   CUDA              $2'; exit;} exit 1; }
    mkdir -p $folder
    { echo '#!$(command -v bash)'; sed 's|SYSTEM|$system|g; s|FETCH|$1|g' $system/trainer; } >$folder/cifar_trainer
    chmod +x $folder/cifar_trainer"
}
quickstart() { run "$1" "$2" "${@:4}" "$tools/quickstart.sh" --out "$system/run" --epochs 1; log_has "$3"; }

# It is here.
touch "$system/here/cifar10"
pretend_build 0
quickstart 0 '43.21 % (cifar10)' "--dataset cifar10 --out $system/run --epochs 1"
log_lacks fetch
# It comes within a minute.
rm "$system/here/cifar10"
quickstart 0 '43.21 % (cifar10)' "--dataset cifar10 --out $system/run --epochs 1"
log_has 'trainer fetch cifar10 --at-most 60'
# It cannot be had: Fashion-MNIST, from Debian's package, or drawn shapes.
rm "$system/here/cifar10"
touch "$system/here/fashion-mnist"
pretend_build 3
quickstart 0 'falls back to Fashion-MNIST' "--dataset fashion-mnist --out $system/run --epochs 1"
rm "$system/here/fashion-mnist"
quickstart 0 "Fashion-MNIST (Debian's dataset-fashion-mnist)" "--dataset fashion-mnist --out $system/run --epochs 1"
pretend dpkg-query '[ "${!#}" = dataset-fashion-mnist ] || echo installed'
pretend id 'echo 0'
pretend apt-get 'exit 100'
quickstart 0 'falls back to drawn shapes' "--dataset synthetic --out $system/run --epochs 1"
run 0 'falls back to drawn shapes' "$tools/quickstart.sh" --no-install --out "$system/run"
log_lacks 'apt-get'
run 3 'downloading it' "$tools/quickstart.sh" --wait --out "$system/run"
log_lacks '--at-most'
# It takes longer than a minute: it goes on beside the run, and after it.
pretend_build 1
quickstart 0 'CIFAR-10       still comes, in process' "--dataset synthetic --out $system/run --epochs 1"
log_has 'trainer fetch cifar10 --at-most 60'
grep -qx 'trainer fetch cifar10' "$system/log" || fail 'no download goes on'
touch "$system/arrives"
for ((i = 0; i < 200; ++i)); do [ -e "$system/here/cifar10" ] || sleep 0.05; done  # and so the first one has ended
[ -e "$system/here/cifar10" ] || fail 'the download ended with the quickstart'
rm "$system/here/cifar10"
quickstart 0 'has come in the meantime' "--dataset synthetic --out $system/run --epochs 1"
rm "$system/here/cifar10"
run 0 '(cifar10)' "$tools/quickstart.sh" --wait --out "$system/run"
log_lacks '--at-most'
rm "$system/arrives" "$system/here/cifar10"
pretend_build 130
run 130 'downloading it' "$tools/quickstart.sh" --out "$system/run"
pretend apt-get "echo \"apt-get \$*\" >>$system/log"
pretend dpkg-query 'echo installed'
pretend id 'echo 1000'
pretend_build 0

run 0 '(cifar10)' "$tools/quickstart.sh" --data "$system/bin"
log_has "--data $system/bin"
# What would be refused in the end is refused at the beginning.
run 3 'there is no folder /nowhere' "$tools/quickstart.sh" --data /nowhere
log_is_empty
touch "$system/run/last.safetensors"
run 2 'holds a run already' "$tools/quickstart.sh" --out "$system/run"
log_is_empty
run 2 'no flag "--epoch"' "$tools/quickstart.sh" --epoch 1
log_lacks fetch
# Flags of the user's replace ours.
run 0 'a photo is called one of them' "$tools/quickstart.sh" --dataset=synthetic --out "$system/other" --epochs 1
log_has "quick.toml --dataset synthetic --out $system/other --epochs 1"
log_lacks fetch
run 0 '43.21' "$tools/quickstart.sh" --config mine.toml --out "$system/other"
log_lacks quick.toml
run 0 '43.21' "$tools/quickstart.sh" --resume --out "$system/run"
log_has "trainer train --out $system/run --resume"
rm "$system/run/last.safetensors"

# Which build: there is no GPU; one, with less than a CUDA build needs; one with all.
log_has 'cmake -S'
log_lacks '--preset cuda'
pretend nvidia-smi true
pretend_build 0 'off (toolkit 13.0 found, cuDNN 9.11 or newer not found)'
quickstart 0 'CPU, for CUDA is off (toolkit 13.0 found, cuDNN 9.11 or newer not found). To have it' '--preset cpu'
log_has 'build/cpu --target cifar_trainer'
pretend_build 0 'on (toolkit 13.0, cuDNN 9.19, for 90-real)' cuda
quickstart 0 'Building (preset cuda)' 'build/cuda --target cifar_trainer'
log_lacks '--preset cpu'
pretend_build 0
quickstart 0 'off (configuring it failed, as said above)' 'build/cpu --target cifar_trainer'
rm "$system/bin/nvidia-smi"

pretend cmake 'exit 1'
run 1 'Building' "$tools/quickstart.sh"
pretend dpkg-query 'echo'
run 1 'neither root nor sudo' "$tools/quickstart.sh"
run 1 'neither root nor sudo' "$tools/test.sh"

rm "$system/bin/apt-get"
run 1 'libeigen3-dev' "$tools/install_packages.sh"
run 1 'gcc-c++ ca-certificates eigen3-devel' "$tools/install_packages.sh"
run 1 'pacman -S --needed cmake ninja ccache gcc ca-certificates eigen' "$tools/install_packages.sh"
run 1 'there is no apt-get here' "$tools/test.sh"
run 1 'there is no apt-get here' "$tools/quickstart.sh"
run 0 'usage: tools/quickstart.sh' "$tools/quickstart.sh" --help
run 0 'usage: tools/test.sh' "$tools/test.sh" --help
run 1 '--preset needs a name' "$tools/test.sh" --preset
echo "scripts_test: passed"
