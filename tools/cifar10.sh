# Looking for CIFAR-10, in its binary version or in that for Python. quickstart.sh reads this file.

# Whether the folder given, or its child, holds it.
has_cifar10() {
  [ -f "$1/test_batch.bin" ] || [ -f "$1/cifar-10-batches-bin/test_batch.bin" ] ||
    [ -f "$1/test_batch" ] || [ -f "$1/cifar-10-batches-py/test_batch" ]
}
