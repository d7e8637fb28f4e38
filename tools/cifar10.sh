# Looking for CIFAR-10 in the binary format. quickstart.sh reads this file.

# Whether the folder given, or its child, holds it.
has_cifar10() { [ -f "$1/test_batch.bin" ] || [ -f "$1/cifar-10-batches-bin/test_batch.bin" ]; }
