"""What a machine's processors are called."""
import platform
import subprocess


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        names = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    return names[0] if names else platform.processor()


def device_name(device):
    """Of "cpu", "cuda" or "cuda:N"."""
    if device == "cpu":
        return processor()
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        names = subprocess.run(query, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
        return names[int(device.partition(":")[2] or 0)]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return device
