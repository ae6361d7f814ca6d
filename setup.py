"""Compiles the native module; everything else is in pyproject.toml.

Environment:
    FAULTSIM_CUDA: ``auto`` (default) adds the CUDA kernels when nvcc works and says so when it
        does not; ``0`` leaves them out; ``1`` fails without them.
    FAULTSIM_CUDA_ARCHS: Compute capabilities to build for, ``80;90`` unless given; PTX of the last
        one lets newer devices run it too.
    FAULTSIM_WERROR: ``1`` turns compiler warnings into errors, nvcc's too.
"""

import fcntl
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pybind11
from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup
from setuptools.command.build_ext import build_ext

# Environments may be made beside each other: until this process ends, no other writes here.
Path("build").mkdir(exist_ok=True)
LOCK = os.open("build/lock", os.O_CREAT | os.O_RDWR)
fcntl.flock(LOCK, fcntl.LOCK_EX)

ABI = int(re.search(r"ABI = (\d+)", Path("faultsim/ops/_native.py").read_text())[1])
FLAGS = ["-O3", "-std=c++17", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-Wextra"]
SOURCES = ["module", "isa", "flip_cpu", "patch_cpu", "sample_cpu", "rank_cpu", "scan_cpu"]
SOURCES += ["scan_grid", "limits", "module_grid"]
CUDA_SOURCES = ["flip_cuda", "sample_cuda", "rank_cuda", "scan_cuda", "limits_cuda"]
# Sources compiled once for each instruction set. Fused multiply-add doubles the speed of the scan.
PER_ISA_SOURCES = {"rank_screen": [], "scan_kernel": ["-ffp-contract=fast"]}
ISAS = {"baseline": []}
if platform.machine() in ("x86_64", "AMD64"):
    ISAS["avx2"] = ["-mavx2", "-mfma"]
    ISAS["avx512"] = ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl"]
    ISAS["avx512"] += ["-mprefer-vector-width=512"]


def find_cuda():
    """Include and library folders of a toolkit whose nvcc compiles, or the reason there is none."""
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        return None, "nvcc is not on the PATH"
    version = subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout
    release = re.search(r"release (\d+)\.", version)
    if release is None or int(release[1]) < 12:
        return None, f"nvcc 12 or newer is needed, and {nvcc} is not"
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder, "probe.cu")
        probe.write_text("__global__ void probe() {}\n")
        command = [nvcc, "-c", str(probe), "-o", str(probe.with_suffix(".o"))]
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode:
            return None, f"nvcc cannot compile: {(made.stderr or made.stdout).strip()[:200]}"
        # nvcc may be a wrapper far from its toolkit, so it is asked rather than its path read.
        dry = subprocess.run([*command, "--dryrun"], capture_output=True, text=True).stderr
    lines = dict(re.findall(r"^#\$ (INCLUDES|LIBRARIES)=(.*)$", dry, re.MULTILINE))
    options = {key: shlex.split(value.strip()) for key, value in lines.items()}
    options = {key: [part for v in value for part in v.split()] for key, value in options.items()}
    return {
        "nvcc": nvcc,
        "include": [part[2:] for part in options.get("INCLUDES", []) if part.startswith("-I")],
        "library": [part[2:] for part in options.get("LIBRARIES", []) if part.startswith("-L")],
    }, ""


def choose_cuda():
    """The toolkit to build with, or None, as FAULTSIM_CUDA says."""
    wanted = os.environ.get("FAULTSIM_CUDA", "auto")
    if wanted not in ("auto", "0", "1"):
        sys.exit(f"FAULTSIM_CUDA={wanted}: use auto, 0 or 1")
    if wanted == "0":
        return None
    cuda, reason = find_cuda()
    if cuda is None and wanted == "1":
        sys.exit(f"FAULTSIM_CUDA=1, but {reason}")
    if cuda is None:
        print(f"faultsim: building WITHOUT CUDA: {reason}", file=sys.stderr)
    return cuda


werror = ["-Werror"] if os.environ.get("FAULTSIM_WERROR") == "1" else []
HEADERS = [path for path in Path("csrc").iterdir() if path.suffix == ".h"]


def kept_objects():
    """A folder for what is compiled, of its own for all that decides what that is but the sources.

    Another environment, and a change of one source, then compile only what is new.
    """
    compiler = [os.environ.get(name) or sysconfig.get_config_var(name) for name in ("CC", "CXX")]
    decides = [pybind11.__version__, ABI, FLAGS, werror, PER_ISA_SOURCES, ISAS, compiler]
    decides += [sysconfig.get_config_var("CFLAGS"), *map(os.environ.get, ("CFLAGS", "CXXFLAGS"))]
    number = zlib.crc32(repr(decides).encode())
    return Path(
        "build", f"objects-{sysconfig.get_platform()}-{sys.implementation.cache_tag}-{number:08x}"
    )


def is_stale(made, source):
    """Whether an object is missing, or older than its source, a header or this file."""
    made = Path(made)
    known = [Path(source), Path("setup.py"), *HEADERS]
    return not made.exists() or made.stat().st_mtime < max(p.stat().st_mtime for p in known)


class BuildNative(build_ext):
    """Compiles some sources once for each instruction set, and CUDA sources with nvcc."""

    def build_extension(self, ext):
        cuda = choose_cuda()
        self.build_temp = str(kept_objects() / ("cuda" if cuda else "host"))
        parts = [(isa, source) for isa in ISAS for source in PER_ISA_SOURCES]
        ext.extra_objects = [obj for part in parts for obj in self._compile_isa(ext, *part)]
        if cuda is not None:
            ext.define_macros.append(("FAULTSIM_WITH_CUDA", "1"))
            ext.include_dirs += cuda["include"]
            ext.library_dirs += cuda["library"]
            ext.extra_link_args += ["-lcudart_static", "-ldl", "-lrt", "-lpthread"]
            ext.sources.append("csrc/module_cuda.cpp")
            with ThreadPoolExecutor(os.cpu_count()) as workers:
                compiled = workers.map(lambda name: self._compile_cuda(cuda, name), CUDA_SOURCES)
                ext.extra_objects += compiled
        super().build_extension(ext)

    def copy_file(self, infile, outfile, **options):
        """Replaces in one step, for another environment may be running what is there."""
        whole = f"{outfile}.new"
        super().copy_file(infile, whole, **options)
        os.replace(whole, outfile)
        return outfile, True

    def _compile_isa(self, ext, isa, source):
        return self.compiler.compile(
            [f"csrc/{source}.cpp"],
            output_dir=str(Path(self.build_temp, isa)),
            macros=[("FAULTSIM_ISA", isa)],
            extra_postargs=[*ext.extra_compile_args, *ISAS[isa], *PER_ISA_SOURCES[source]],
            depends=ext.depends,
        )

    def _compile_cuda(self, cuda, name):
        archs = os.environ.get("FAULTSIM_CUDA_ARCHS", "80;90").split(";")
        codes = [f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in archs]
        codes.append(f"-gencode=arch=compute_{archs[-1]},code=compute_{archs[-1]}")
        host = ",".join(["-fPIC", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", *werror])
        strict = ["-Werror=all-warnings"] if werror else []
        folder = Path(self.build_temp, *map("sm_{}".format, archs))
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{name}.o"
        if not is_stale(target, f"csrc/{name}.cu"):
            return str(target)
        # Without fused multiply-add, doubles round as they do on the host.
        flags = ["-O3", "-std=c++17", "-fmad=false", *codes, *strict, "-Xcompiler", host]
        command = [cuda["nvcc"], "-c", f"csrc/{name}.cu", "-o", str(target), *flags]
        print(shlex.join(command))
        subprocess.run(command, check=True)
        return str(target)


ParallelCompile("FAULTSIM_JOBS", default=0, needs_recompile=is_stale).install()
setup(
    ext_modules=[
        Pybind11Extension(
            "faultsim._C",
            [f"csrc/{name}.cpp" for name in SOURCES],
            depends=[str(path) for path in sorted(Path("csrc").iterdir())],
            define_macros=[("FAULTSIM_ABI", str(ABI))],
            extra_compile_args=[*FLAGS, *werror],
            extra_link_args=["-pthread", "-ldl"],
        )
    ],
    cmdclass={"build_ext": BuildNative},
)
