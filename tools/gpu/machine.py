"""What the machine of a check has: programs, Python with PyTorch, CUDA's libraries."""
import os
import pathlib
import shutil
import subprocess
import tarfile

from . import pack

SYSTEM = ["/usr/local/nvidia/lib64", "/usr/local/nvidia/lib"]  # where containers keep the driver's libraries
FOLDERS_OF_PYTHON = """
import importlib.util, pathlib
spec = importlib.util.find_spec("nvidia")
for place in spec.submodule_search_locations if spec else []:
    for folder in sorted(pathlib.Path(place).iterdir()):
        if (folder / "lib").is_dir():
            print(folder / "lib")
"""


def folders_of_python(python):
    """Folders in which Python packages keep NVIDIA's libraries: .../nvidia/cudnn/lib, .../nvidia/cu13/lib."""
    try:
        answer = subprocess.run([python, "-c", FOLDERS_OF_PYTHON], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return answer.stdout.split("\n")[:-1]


def environment(arguments):
    """For every command: all of CUDA's libraries from one place, so that no two versions of cuDNN meet; choices of
    engines and what PyTorch compiles in the folder that is kept."""
    work = pathlib.Path(arguments.work)
    before = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
    folders = folders_of_python(arguments.python) + before + [folder for folder in SYSTEM if os.path.isdir(folder)]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(dict.fromkeys(folders)), "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1", "FOVEA_CACHE": str(work / "engines"),
            "FOVEA_GOLDEN_DIR": str(pack.ROOT / "tests" / "golden"),
            "TORCHINDUCTOR_CACHE_DIR": str(work / "inductor"), "TRITON_CACHE_DIR": str(work / "triton")}


class Machine:
    """Programs by name: unpacked ones, or those of a build folder."""

    def __init__(self, arguments):
        self.python, self.pack = arguments.python, pathlib.Path(arguments.pack)
        self.work, self.build = pathlib.Path(arguments.work), arguments.build and pathlib.Path(arguments.build)
        self.data, self.minutes = arguments.data, arguments.minutes

    def program(self, name):
        if not self.build:
            return self.work / "programs" / name
        found = [path for path in pack.PROGRAMS if path.endswith(f"/{name}")]
        return self.build / found[0]

    def unpack(self):
        """Puts the programs where they stay between calls."""
        archive = self.pack / pack.ARCHIVE
        shutil.rmtree(self.work / "programs", ignore_errors=True)
        with tarfile.open(archive) as tar:
            tar.extractall(self.work, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))

    def tool(self, name):
        """A tool of the CUDA toolkit, or None."""
        return shutil.which(name) or next(
            (place for place in (f"/usr/local/cuda/bin/{name}", f"/opt/cuda/bin/{name}") if os.access(place, os.X_OK)),
            None)
